// The siblings that are connected to us: frontends, fetchers and administrators, by number. A number
// is never used again, so an answer that comes late goes nowhere. A sibling that breaks the protocol
// or does not read is disconnected; the others do not notice.

import IPC
import Linux
import Logging
import Model
import Service

final class Peers {
  typealias Loop = EventLoop<CoordinatorProcess>
  private typealias Frontend = LoopChannel<
    CoordinatorToFrontend, FrontendToCoordinator, CoordinatorProcess
  >
  private typealias Fetcher = LoopChannel<
    CoordinatorToFetcher, FetcherToCoordinator, CoordinatorProcess
  >
  private typealias Admin = LoopChannel<
    CoordinatorToAdmin, AdminToCoordinator, CoordinatorProcess
  >

  /// What a peer has said.
  enum Heard {
    case request(ClientRequest)
    case statistics([ProcessStatistics])
    case statusWanted(busiest: UInt16)
  }

  /// Stands for the logwriter where peers are counted.
  static let logWriterNumber: UInt64 = 0

  private let loop: Loop
  private let log: Log
  private var frontends: [UInt64: Frontend] = [:]
  private var fetchers: [UInt64: Fetcher] = [:]
  private var admins: [UInt64: Admin] = [:]
  private var lastNumber: UInt64 = 0
  let status: StatusGathering

  init(loop: Loop, log: Log) {
    self.loop = loop
    self.log = log
    status = StatusGathering()
    status.send = { [unowned self] admin, processes in
      if let channel = admins[admin] {
        attempt(admin) { () throws(ChannelError) in
          try channel.send(.status(processes))
        }
      }
    }
  }

  var frontendCount: Int { frontends.count }
  var fetcherCount: Int { fetchers.count }

  func addFrontend(
    _ socket: consuming OwnedFD, _ dynamic: DynamicBrokerConfigs, image: ImageUpdate
  ) {
    let number = nextNumber()
    do throws(Errno) {
      let channel = try Frontend(socket, loop: loop, source: .peer(number))
      frontends[number] = channel
      attempt(number) { () throws(ChannelError) in
        try channel.send(.configureBroker(dynamic))
        try channel.send(.image(image))
      }
    } catch { log.event(.systemTrouble, "a frontend cannot be watched: \(error)") }
  }

  func addFetcher(
    _ socket: consuming OwnedFD, _ dynamic: DynamicBrokerConfigs, image: ImageUpdate
  ) {
    let number = nextNumber()
    do throws(Errno) {
      let channel = try Fetcher(socket, loop: loop, source: .peer(number))
      fetchers[number] = channel
      attempt(number) { () throws(ChannelError) in
        try channel.send(.configureBroker(dynamic))
        try channel.send(.image(image))
      }
    } catch { log.event(.systemTrouble, "a fetcher cannot be watched: \(error)") }
  }

  func addAdmin(_ socket: consuming OwnedFD) {
    let number = nextNumber()
    do throws(Errno) {
      admins[number] = try Admin(socket, loop: loop, source: .peer(number))
    } catch { log.event(.systemTrouble, "an administrator cannot be watched: \(error)") }
  }

  /// Hands what a peer has said to `hear`.
  func ready(_ number: UInt64, _ readiness: Readiness, _ hear: (Heard) -> Void) {
    do throws(ReceiveError<MessageError>) {
      if let channel = frontends[number] {
        try channel.ready(readiness) { message, _ throws(MessageError) in
          switch message {
          case .request(let request): hear(.request(request))
          case .statistics(let statistics): hear(.statistics(statistics))
          }
        }
      } else if let channel = fetchers[number] {
        try channel.ready(readiness) { message, _ throws(MessageError) in
          guard case .statistics(let statistics) = message else { return }
          hear(.statistics([statistics]))
        }
      } else if let channel = admins[number] {
        try channel.ready(readiness) { message, _ throws(MessageError) in
          switch message {
          case .status(let busiest): hear(.statusWanted(busiest: busiest))
          }
        }
      }
    } catch {
      switch error {
      case .channel(.closed): remove(number)
      case .channel(let error): disconnect(number, "\(error)")
      case .handler(let error): disconnect(number, "\(error)")
      }
    }
  }

  func send(_ message: CoordinatorToFrontend, toFrontend number: UInt64) {
    guard let channel = frontends[number] else { return }
    attempt(number) { () throws(ChannelError) in try channel.send(message) }
  }

  func publish(_ update: ImageUpdate) {
    for (number, channel) in frontends {
      attempt(number) { () throws(ChannelError) in try channel.send(.image(update)) }
    }
    for (number, channel) in fetchers {
      attempt(number) { () throws(ChannelError) in try channel.send(.image(update)) }
    }
  }

  func configure(_ dynamic: DynamicBrokerConfigs) {
    for (number, channel) in frontends {
      attempt(number) { () throws(ChannelError) in try channel.send(.configureBroker(dynamic)) }
    }
    for (number, channel) in fetchers {
      attempt(number) { () throws(ChannelError) in try channel.send(.configureBroker(dynamic)) }
    }
  }

  /// Asks everyone how they are; who wants to know is answered when all have answered, or within a
  /// second.
  func askForStatus(_ busiest: UInt16, own: ProcessStatistics, logWriterToo: Bool) {
    var asked: Set<UInt64> = logWriterToo ? [Self.logWriterNumber] : []
    for (number, channel) in frontends {
      attempt(number) { () throws(ChannelError) in
        try channel.send(.reportStatistics(busiest: busiest))
      }
      asked.insert(number)
    }
    for (number, channel) in fetchers {
      attempt(number) { () throws(ChannelError) in
        try channel.send(.reportStatistics(busiest: busiest))
      }
      asked.insert(number)
    }
    let round = status.round
    loop.schedule(
      afterMs: StatusGathering.patienceMs,
      .timer { [unowned self] in status.deadline(round) })
    status.expect(asked, own: own)
  }

  private func attempt(_ number: UInt64, _ send: () throws(ChannelError) -> Void) {
    do throws(ChannelError) { try send() } catch {
      // The loop reports the end of the channel; here others may be in the middle of their work.
      log.event(
        .siblingDropped, "a \(kind(number)) cannot be sent to: \(error)",
        metadata: ["@sibling": "\(kind(number))"])
      frontends[number]?.abort()
      fetchers[number]?.abort()
      admins[number]?.abort()
    }
  }

  private func disconnect(_ number: UInt64, _ reason: String) {
    log.event(
      .siblingDropped, "disconnected a \(kind(number)): \(reason)",
      metadata: ["@sibling": "\(kind(number))"])
    remove(number)
  }

  private func kind(_ number: UInt64) -> String {
    frontends[number] != nil ? "frontend" : fetchers[number] != nil ? "fetcher" : "administrator"
  }

  private func remove(_ number: UInt64) {
    frontends.removeValue(forKey: number)?.close()
    fetchers.removeValue(forKey: number)?.close()
    admins.removeValue(forKey: number)?.close()
    status.lost(number)
  }

  private func nextNumber() -> UInt64 {
    lastNumber += 1
    return lastNumber
  }
}
