// sluice-frontend: from its command line to its loop.

import Configuration
import IPC
import Linux
import Service

@main
enum Main {
  static func main() {
    ServiceMain.run(.frontend) { context throws(ServiceFailure) in
      let stored = context.sockets.takeStored(FrontendEnvironment.parcelName)
      try context.sockets.requireSome()
      let limits = try FrontendLimits(
        context.configuration, descriptorsMax: context.descriptorsMax)
      let apply = { (frontend: Frontend, next: BrokerConfiguration) throws(ServiceFailure) in
        frontend.apply(try FrontendLimits(next, descriptorsMax: context.descriptorsMax))
      }
      context.tellCapacity(limits.capacity)
      let environment = FrontendEnvironment(
        instance: context.instance, runtimeDirectory: context.runtimeDirectory, log: context.log,
        limits: limits, upkeep: context.upkeep, statistics: { context.statistics($0) },
        ready: { context.notifyReady(status: $0) }, stopping: { context.notifyStopping() },
        configure: { frontend, dynamic in
          context.configure(dynamic) { next throws(ServiceFailure) in try apply(frontend, next) }
        },
        reload: { frontend in
          context.reload { next throws(ServiceFailure) in try apply(frontend, next) }
        }, store: .supervisor(name: FrontendEnvironment.parcelName))
      context.notifyStatus("waiting for the logwriter and the coordinator")
      let frontend: Frontend
      do throws(Errno) { frontend = try serve(context, environment, stored) } catch {
        throw ServiceFailure(error)
      }
      if let failure = frontend.failure { throw failure }
    }
  }

  /// Runs until the frontend is asked to stop, or cannot go on.
  /// - Parameter stored: what the process before has left.
  private static func serve(
    _ context: ServiceContext, _ environment: FrontendEnvironment, _ stored: consuming OwnedFD?
  ) throws(Errno) -> Frontend {
    let loop = try EventLoop<Frontend>()
    let frontend = try Frontend(environment, loop: loop)
    while let inherited = context.sockets.takeNext() {
      let name = inherited.name
      try frontend.add(listener: name, inherited.take())
    }
    if let stored { frontend.adopt(stored) }
    try frontend.start()
    try loop.run(frontend)
    return frontend
  }
}
