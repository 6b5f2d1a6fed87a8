// A stop that keeps the connections: how far it has come, and what it still waits for.
//
// asking       the supervisor's store was offered an empty parcel; clients are served as ever
// takingBack   it was taken: nothing is begun any more, what is under way ends or is given back
// done         the parcel holds every connection, and the process ends
//
// What is waited for, while the patience lasts: answers of the logwriter, because nobody else knows
// what became of a batch; answers of the coordinator, unless it lets its clients wait on purpose; and
// sockets that fetchers have.

import KafkaProtocol
import Linux
import Service

final class HandOver {
  enum Phase { case asking, takingBack, done }

  /// How much is waited for. Time makes it less.
  enum Patience: Int, Comparable {
    /// For everything that is answered soon.
    case full
    /// For batches that must not be sent twice.
    case forUnknownBatches
    case none

    static func < (a: Patience, b: Patience) -> Bool { a.rawValue < b.rawValue }

    /// When it is reached, ms after everything was taken back.
    var afterMs: Int64 {
      switch self {
      case .full: 0
      case .forUnknownBatches: 1000
      case .none: 10_000
      }
    }
  }

  let parcel: Parcel
  /// The store closes the other end when it has dealt with the parcel.
  let answer: OwnedFD
  var answerWatch: Watch?
  var phase = Phase.asking
  var patience = Patience.full
  let beganNs: UInt64

  init(_ parcel: Parcel, answer: consuming OwnedFD, nowNs: UInt64) {
    self.parcel = parcel
    self.answer = answer
    beganNs = nowNs
  }

  /// Whether a request is one that the coordinator answers when others have come: the next process
  /// asks again, and its client cannot tell the difference.
  static func waitsForOthers(_ frame: [UInt8]) -> Bool {
    guard frame.count >= 2 else { return false }
    let apiKey = ApiKey(rawValue: Int16(frame[0]) << 8 | Int16(frame[1]))
    return apiKey == .joinGroup || apiKey == .syncGroup
  }
}
