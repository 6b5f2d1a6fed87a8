// What the tests of IPC share: raw peers that can break every rule, random input that can be had
// again, and counting descriptors.
import Foundation
import Glibc
import Linux
import Model

@testable import IPC

/// Random input. `SLUICE_TEST_SEED=<number>` in the environment repeats a run.
struct Seed: RandomNumberGenerator, CustomStringConvertible {
  let value: UInt64
  private var state: UInt64

  init() {
    let given = ProcessInfo.processInfo.environment["SLUICE_TEST_SEED"].flatMap { UInt64($0) }
    value = given ?? UInt64.random(in: 0 ... .max)
    state = value
  }

  var description: String { "SLUICE_TEST_SEED=\(value)" }

  /// SplitMix64.
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  mutating func bytes(_ count: Int) -> [UInt8] {
    (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) }
  }
}

/// The other end of a channel, without a channel's manners.
final class RawPeer {
  private final class Holder {
    let socket: OwnedFD
    init(_ socket: consuming OwnedFD) { self.socket = socket }
  }

  private var holder: Holder?

  init(_ socket: consuming OwnedFD) { holder = Holder(socket) }

  @discardableResult
  func send(_ bytes: [UInt8], descriptors: [Int32] = []) throws -> Bool {
    guard let holder else { return false }
    return try bytes.withRawBytes { raw throws(Errno) in
      try UnixSocket.send(holder.socket, raw, descriptors: descriptors)
    }
  }

  /// A datagram with a header that may lie.
  @discardableResult
  func send(
    kind: UInt16, announced: UInt8 = 0, flags: UInt8 = 0, length: UInt32? = nil,
    payload: [UInt8] = [], descriptors: [Int32] = []
  ) throws -> Bool {
    var writer = MessageWriter()
    writer.put(kind)
    writer.put(announced)
    writer.put(flags)
    writer.put(length ?? UInt32(payload.count))
    return try send(writer.bytes + payload, descriptors: descriptors)
  }

  /// Takes one datagram out of the socket; nil when there is none.
  func receive(into buffer: inout [UInt8]) throws -> Int? {
    guard let holder else { return nil }
    var count: Int?
    try buffer.withUnsafeMutableBytes { raw in
      if case .datagram(let received) = try UnixSocket.receive(holder.socket, into: raw) {
        count = received.count
      }
    }
    return count
  }

  func close() { holder = nil }
}

/// A channel and its raw other end.
func rawPair<Out: Message, In: Message>(
  _ type: Channel<Out, In>.Type
) throws -> (Channel<Out, In>, RawPeer) {
  var channel: Channel<Out, In>?
  var peer: RawPeer?
  try UnixSocket.pair().split { first, second in
    channel = Channel(first)
    peer = RawPeer(second)
  }
  guard let channel, let peer else { throw MissingPair() }
  return (channel, peer)
}

/// Two channels that talk to each other.
func channelPair<A: Message, B: Message>(
  _ type: Channel<A, B>.Type
) throws -> (Channel<A, B>, Channel<B, A>) {
  var one: Channel<A, B>?
  var other: Channel<B, A>?
  try UnixSocket.pair().split { first, second in
    one = Channel(first)
    other = Channel(second)
  }
  guard let one, let other else { throw MissingPair() }
  return (one, other)
}

struct MissingPair: Error {}

/// What a channel hears, one line each, until it would have to wait.
func heard<Out: Message, In: Message>(_ channel: Channel<Out, In>) throws -> [String] {
  var lines: [String] = []
  while try channel.receive({ message, descriptors throws(Never) in
    lines.append("\(message) +\(descriptors.count)")
  }) {}
  return lines
}

/// The rule that ended a channel, or what else ended it.
func ending<Out: Message, In: Message>(_ channel: Channel<Out, In>) -> String {
  do {
    _ = try heard(channel)
    return "open"
  } catch let error as ReceiveError<Never> {
    guard case .channel(let reason) = error else { return "handler" }
    return "\(reason)"
  } catch { return "\(error)" }
}

enum OpenDescriptors {
  /// How many descriptors of this process refer to something whose /proc link contains `text`.
  /// Other tests run in the same process: ask for names of your own.
  static func count(linkContaining text: String) -> Int {
    guard let names = try? File.names(in: "/proc/self/fd") else { return -1 }
    return names.count { name in
      var target = [CChar](repeating: 0, count: 512)
      let length = readlink("/proc/self/fd/\(name)", &target, target.count)
      guard length > 0 else { return false }
      let link = String(
        decoding: target[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
      return link.contains(text)
    }
  }

  /// A name for a memfd that no other test uses.
  static func uniqueName() -> String { "leak-\(UInt64.random(in: 0 ... .max))" }
}
