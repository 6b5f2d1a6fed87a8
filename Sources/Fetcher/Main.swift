// sluice-fetcher@N: answers Fetch. It opens nothing: listening socket, client sockets, segments and
// shared memory are all handed to it.
import IPC
import Service

@main
enum Main {
  static func main() {
    ServiceMain.run(.fetcher) { context throws(ServiceFailure) in
      context.notifyStatus("waiting for the logwriter and the coordinator")
      let process = try FetcherProcess(context)
      context.tellCapacity(process.settings.capacity)
      try process.run()
    }
  }
}
