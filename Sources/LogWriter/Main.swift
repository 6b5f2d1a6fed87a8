// sluice-logwriter: the only writer of the log.

import IPC
import Service

@main
enum Main {
  static func main() {
    ServiceMain.run(.logwriter) { context throws(ServiceFailure) in
      let socket = try context.sockets.take("logwriter")
      context.tellCapacity(
        "any number of partitions, \(LogStore.openSegmentsMax(context.descriptorsMax)) of them with "
          + "open files")
      let store = try LogStore(
        configuration: context.configuration, descriptorsMax: context.descriptorsMax,
        log: context.log)
      let writer = try LogWriter(context: context, socket: socket, store: store)
      try writer.run()
    }
  }
}
