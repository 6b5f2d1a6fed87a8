// Channels whose other end breaks the rules or dies.
import Glibc
import Linux
import Model
import Testing

@testable import IPC

struct BrokenPeerTests {
  typealias FetcherEnd = Channel<FetcherToFrontend, FrontendToFetcher>
  private let forget = payload(of: FrontendToFetcher.forget(connection: 1))
  private let lent = payload(of: FrontendToFetcher.fetch(Samples.fetch(socket: true)))

  /// What a channel says when its peer did `action`, and that nothing of `name` stays open here.
  private func verdict(
    _ action: (RawPeer, borrowing OwnedFD) throws -> Void,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> String {
    let name = OpenDescriptors.uniqueName()
    var last = ""
    for _ in 0..<20 {
      let (channel, peer) = try rawPair(FetcherEnd.self)
      let memory = try MemoryFile.shared(name: name, size: 4)
      try action(peer, memory)
      last = ending(channel)
    }
    #expect(OpenDescriptors.count(linkContaining: name) == 0, sourceLocation: sourceLocation)
    return last
  }

  @Test func moreOrFewerDescriptorsThanAnnounced() throws {
    let more = try verdict { peer, memory in
      try peer.send(
        kind: 1, announced: 1, payload: lent, descriptors: [memory.rawValue, memory.rawValue])
    }
    #expect(more == "protocol violation: 2 descriptors came, 1 announced")
    let fewer = try verdict { peer, _ in try peer.send(kind: 1, announced: 1, payload: lent) }
    #expect(fewer == "protocol violation: 0 descriptors came, 1 announced")
    let unwanted = try verdict { peer, memory in
      try peer.send(kind: 2, announced: 1, payload: forget, descriptors: [memory.rawValue])
    }
    #expect(unwanted == "protocol violation: 1 descriptors with a message of 0")
    let missing = try verdict { peer, _ in try peer.send(kind: 1, payload: lent) }
    #expect(missing == "protocol violation: 0 descriptors with a message of 1")
    let many = try verdict { peer, memory in
      try peer.send(
        kind: 2, announced: 253, payload: forget,
        descriptors: [Int32](repeating: memory.rawValue, count: 253))
    }
    #expect(many == "protocol violation: 253 descriptors with a message of 0")
  }

  @Test func truncatedControlData() throws {
    let name = OpenDescriptors.uniqueName()
    let memory = try MemoryFile.shared(name: name, size: 1)
    let pair = try UnixSocket.pair()
    let bytes: [UInt8] = [1, 2, 3]
    try bytes.withRawBytes { raw throws(Errno) in
      _ = try UnixSocket.send(
        pair.first, raw, descriptors: [Int32](repeating: memory.rawValue, count: 40))
    }
    // Without descriptors to spare the kernel truncates control data; a buffer too small for the
    // bytes truncates those. Either way nothing that came along stays open.
    var refused = ""
    withUnsafeTemporaryAllocation(byteCount: 2, alignment: 8) { buffer in
      do { _ = try UnixSocket.receive(pair.second, into: buffer) } catch { refused = "\(error)" }
    }
    #expect(refused == "recvmsg: Message too long")
    #expect(OpenDescriptors.count(linkContaining: name) == 1)
  }

  @Test func headersThatLie() throws {
    #expect(
      try verdict { peer, _ in try peer.send([1, 2, 3]) }
        == "protocol violation: message ends inside an integer")
    #expect(
      try verdict { peer, _ in try peer.send(kind: 2, length: 9, payload: forget) }
        == "protocol violation: 16 bytes came, 9 announced")
    #expect(
      try verdict { peer, _ in try peer.send(kind: 2, length: .max, payload: forget) }
        == "protocol violation: 16 bytes came, 4294967295 announced")
    #expect(
      try verdict { peer, _ in try peer.send(kind: 2, flags: 2, payload: forget) }
        == "protocol violation: unknown flags 2")
    #expect(
      try verdict { peer, _ in try peer.send(kind: 77, payload: forget) }
        == "protocol violation: frontend→fetcher has no message 77")
    #expect(
      try verdict { peer, _ in try peer.send(kind: 2, payload: forget + [0]) }
        == "protocol violation: 1 bytes left over after the message")
  }

  @Test func aDatagramOverTheMaximum() throws {
    let count = ChannelLimits.inlineMax + 1
    let verdict = try verdict { peer, memory in
      try peer.send(
        kind: 2, announced: 1, payload: [UInt8](repeating: 0, count: count),
        descriptors: [memory.rawValue])
    }
    #expect(verdict == "protocol violation: truncated datagram")
  }

  /// A body in a memfd, as a peer might get it wrong.
  private func bodyVerdict(
    announced: UInt32, contents: [UInt8], sealing: Sealing?, flags: UInt8 = 1
  ) throws -> String {
    let name = OpenDescriptors.uniqueName()
    let (channel, peer) = try rawPair(FetcherEnd.self)
    do {
      let body: OwnedFD
      if sealing == .everything {
        body = try MemoryFile.sealed(name: name, contents: contents)
      } else {
        body = try MemoryFile.unsealed(name: name, size: contents.count)
        try File.writeAll(contents, to: body)
        if let sealing { try MemoryFile.seal(body, sealing) }
      }
      try peer.send(
        kind: 2, announced: 1, flags: flags, length: announced, descriptors: [body.rawValue])
    }
    let result = ending(channel)
    #expect(OpenDescriptors.count(linkContaining: name) == 0)
    return result
  }

  @Test func bodiesAreSealedAndOfTheAnnouncedSize() throws {
    let sealed = "protocol violation: a body is not sealed"
    #expect(try bodyVerdict(announced: 8, contents: forget, sealing: .everything) == "open")
    #expect(try bodyVerdict(announced: 8, contents: forget, sealing: nil) == sealed)
    #expect(try bodyVerdict(announced: 8, contents: forget, sealing: .size) == sealed)
    #expect(try bodyVerdict(announced: 8, contents: forget, sealing: .sizeAndWrites) == sealed)
    for wrong in [0, 7, 9, UInt32(ChannelLimits.bodyMax) + 1, .max] {
      #expect(
        try bodyVerdict(announced: wrong, contents: forget, sealing: .everything)
          == "protocol violation: a body that is not the announced \(wrong) bytes")
    }
    #expect(
      try bodyVerdict(announced: 9, contents: forget + [0], sealing: .everything)
        == "protocol violation: 1 bytes left over after the message")
  }

  @Test func aBodyThatIsNoMemoryFile() throws {
    let verdict = try verdict { peer, _ in
      let pair = try UnixSocket.pair()
      try peer.send(kind: 2, announced: 1, flags: 1, length: 8, descriptors: [pair.first.rawValue])
    }
    #expect(verdict == "protocol violation: a body is not sealed")
    let none = try self.verdict { peer, _ in try peer.send(kind: 2, flags: 1, length: 8) }
    #expect(none == "protocol violation: a body without descriptor")
  }

  @Test func aPeerThatDiesAfterSpeaking() throws {
    let (channel, peer) = try rawPair(FetcherEnd.self)
    try peer.send(kind: 2, payload: forget)
    try peer.send(kind: 2, payload: forget)
    peer.close()
    var count = 0
    var end = ""
    do {
      while try channel.receive({ _, _ throws(Never) in count += 1 }) {}
    } catch { end = "\(error)" }
    #expect(count == 2)
    #expect(end == "channel(connection closed)")
  }

  /// A peer that dies with messages unread must not take its own last words with it.
  @Test func aPeerThatDiesWithoutReading() throws {
    let (channel, peer) = try rawPair(FetcherEnd.self)
    try channel.send(.draining)
    try peer.send(kind: 2, payload: forget)
    peer.close()
    var count = 0
    var end = ""
    do {
      while try channel.receive({ _, _ throws(Never) in count += 1 }) {}
    } catch { end = "\(error)" }
    #expect(count == 1)
    #expect(end == "channel(connection closed)")
    #expect(throws: ChannelError.self) { try channel.send(.draining) }
  }

  @Test func abortEndsBothSides() throws {
    let (one, other) = try channelPair(FetcherEnd.self)
    one.abort()
    #expect(ending(one) == "connection closed")
    #expect(ending(other) == "connection closed")
  }

  @Test func randomDatagramsNeverTrap() throws {
    var seed = Seed()
    for _ in 0..<2000 {
      let (channel, peer) = try rawPair(FetcherEnd.self)
      if Bool.random(using: &seed) {
        try peer.send(seed.bytes(Int.random(in: 1...64, using: &seed)))
      } else {
        let memory = try MemoryFile.sealed(
          name: "random", contents: seed.bytes(Int.random(in: 1...64, using: &seed)))
        let count = Int.random(in: 0...3, using: &seed)
        try peer.send(
          kind: UInt16.random(in: 0...3, using: &seed),
          announced: UInt8.random(in: 0...3, using: &seed),
          flags: UInt8.random(in: 0...1, using: &seed),
          length: UInt32.random(in: 0...64, using: &seed),
          payload: seed.bytes(Int.random(in: 0...32, using: &seed)),
          descriptors: [Int32](repeating: memory.rawValue, count: count))
      }
      let verdict = ending(channel)
      #expect(verdict == "open" || verdict.hasPrefix("protocol violation"), "\(seed)")
    }
  }
}
