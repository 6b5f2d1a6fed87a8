// Asking the broker on this machine for the statistics of all its processes. The connection is kept
// for the next question, and made anew after it was lost: a coordinator that restarts is a pause.

import Glibc
import IPC
import Linux
import Service

final class StatusQuery {
  private let runtimeDirectory: String
  private var channel: Channel<AdminToCoordinator, CoordinatorToAdmin>?

  /// The coordinator may have to start first, which its socket does.
  private static let waitMs: Int32 = 3_000

  init(_ runtimeDirectory: String) { self.runtimeDirectory = runtimeDirectory }

  /// - Parameter busiest: how many topics and connections to name of each process, at most
  ///   `StatisticsLimits.busiestMax`.
  func ask(busiest: UInt16) throws(ChannelError) -> [ProcessStatistics] {
    do throws(ChannelError) {
      if let channel { return try ask(channel, busiest) }
      let made = try connect()
      channel = made
      return try ask(made, busiest)
    } catch {
      channel = nil
      throw error
    }
  }

  private func connect() throws(ChannelError) -> Channel<AdminToCoordinator, CoordinatorToAdmin> {
    do throws(Errno) {
      return Channel(
        try Greeting.connect(
          path: "\(runtimeDirectory)/\(SocketName.coordinator)", edge: .adminToCoordinator,
          instance: 1))
    } catch { throw .system(error) }
  }

  private func ask(_ channel: Channel<AdminToCoordinator, CoordinatorToAdmin>, _ busiest: UInt16)
    throws(ChannelError) -> [ProcessStatistics]
  {
    try channel.send(.status(busiest: busiest))
    guard Poll.waitAny([channel.descriptor], .readable, timeoutMs: Self.waitMs) != nil else {
      throw .system(Errno(ETIMEDOUT, "status"))
    }
    var answer: [ProcessStatistics] = []
    do {
      try channel.receive { message, _ throws(MessageError) in
        switch message {
        case .status(let processes): answer = processes
        }
      }
    } catch {
      switch error {
      case .channel(let error): throw error
      case .handler(let error): throw .violation(error)
      }
    }
    return answer
  }
}

extension ProcessStatistics {
  /// `sluice-fetcher@2`
  var name: String { "sluice-\(role)@\(instance)" }
}
