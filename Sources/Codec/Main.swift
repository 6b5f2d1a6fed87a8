// sluice-codec@N: opens compressed record batches. It opens nothing else: no file, no socket.

import IPC
import Service

@main
enum Main {
  static func main() {
    ServiceMain.run(.codec) { context throws(ServiceFailure) in
      let socket = try context.sockets.take("codec")
      try CodecProcess(context: context, socket: socket).run()
    }
  }
}
