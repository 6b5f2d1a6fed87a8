// sluice-cleaner@N: compacts logs. It opens nothing: segments to read and files to write are handed
// to it by the logwriter, the only process it talks to. Nobody connects to it.
import IPC
import Linux
import Service

@main
enum Main {
  static func main() {
    ServiceMain.run(.cleaner) { context throws(ServiceFailure) in
      // Clients do not wait for it: it takes what the others leave.
      CurrentProcess.yieldToOthers()
      try CleanerProcess(context).serve()
    }
  }
}
