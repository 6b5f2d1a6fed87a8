// Channels between well-behaved ends: order, queueing, bodies, hand-overs.
import Glibc
import Linux
import Model
import Testing

@testable import IPC

struct ChannelTests {
  typealias FetcherEnd = Channel<FetcherToFrontend, FrontendToFetcher>
  typealias FrontendEnd = Channel<FrontendToFetcher, FetcherToFrontend>

  @Test func messagesArriveInOrderWithTheirDescriptors() throws {
    let (frontend, fetcher) = try channelPair(FrontendEnd.self)
    let name = OpenDescriptors.uniqueName()
    let memory = try MemoryFile.shared(name: name, size: 1)
    try frontend.send(.forget(connection: 1))
    try frontend.send(.fetch(Samples.fetch(socket: true)), descriptors: [memory.rawValue])
    try frontend.send(.fetch(Samples.fetch(socket: false)))
    let lines = try heard(fetcher)
    #expect(lines.count == 3)
    #expect(lines[0] == "\(FrontendToFetcher.forget(connection: 1)) +0")
    #expect(lines[1].hasSuffix(" +1"))
    #expect(lines[2].hasSuffix(" +0"))
    // The handler took none, so only ours is open.
    #expect(OpenDescriptors.count(linkContaining: name) == 1)
  }

  @Test func receivedDescriptorsAreCloseOnExec() throws {
    let (frontend, fetcher) = try channelPair(FrontendEnd.self)
    let memory = try MemoryFile.shared(name: "x", size: 1)
    try frontend.send(.fetch(Samples.fetch(socket: true)), descriptors: [memory.rawValue])
    var flags: Int32 = -1
    try fetcher.receive { _, descriptors throws(Never) in
      if let taken = descriptors.take() { flags = fcntl(taken.rawValue, F_GETFD) }
    }
    #expect(flags == FD_CLOEXEC)
  }

  @Test(arguments: [
    0, 1, ChannelLimits.inlineMax - 100, ChannelLimits.inlineMax, ChannelLimits.inlineMax + 1,
    5 << 20,
  ])
  func bodiesOfEverySize(count: Int) throws {
    let (frontend, fetcher) = try channelPair(FrontendEnd.self)
    var seed = Seed()
    let pattern = seed.bytes(1024)
    let frame = (0..<count).map { pattern[$0 & 1023] }
    let memory = try MemoryFile.shared(name: "x", size: 1)
    let fetch = LentFetch(connection: 1, carriesSocket: true, peer: "p", frame: frame)
    try frontend.send(.fetch(fetch), descriptors: [memory.rawValue])
    var same = false
    var size: Int64 = -1
    try fetcher.receive { message, descriptors throws(Never) in
      if case .fetch(let got) = message { same = got == fetch }
      if let taken = descriptors.take(), let status = try? File.status(taken) { size = status.size }
    }
    #expect(same)
    #expect(size == 1)
  }

  @Test func exactlyTheInlineMaximumTravelsInline() throws {
    let (channel, peer) = try rawPair(FrontendEnd.self)
    var buffer = [UInt8](repeating: 0, count: ChannelLimits.inlineMax + 100)
    // connection 8 + flag 1 + peer 2 + length 4
    let envelope = 15
    for (count, expected) in [
      (ChannelLimits.inlineMax - envelope, ChannelLimits.inlineMax + ChannelLimits.headerSize),
      (ChannelLimits.inlineMax - envelope + 1, ChannelLimits.headerSize),
    ] {
      let frame = [UInt8](repeating: 7, count: count)
      try channel.send(
        .fetch(LentFetch(connection: 1, carriesSocket: false, peer: "", frame: frame)))
      #expect(try peer.receive(into: &buffer) == expected)
    }
  }

  @Test func queuedMessagesKeepTheirOrderAndDescriptors() throws {
    let (frontend, fetcher) = try channelPair(FrontendEnd.self)
    let name = OpenDescriptors.uniqueName()
    let total = 2000
    do {
      let memory = try MemoryFile.shared(name: name, size: 1)
      for number in 0..<total {
        let fetch = LentFetch(
          connection: UInt64(number), carriesSocket: number % 10 == 0, peer: "",
          frame: [UInt8](repeating: 1, count: 2000))
        try frontend.send(
          .fetch(fetch), descriptors: number % 10 == 0 ? [memory.rawValue] : [])
      }
    }
    #expect(frontend.hasQueued)
    var next: UInt64 = 0
    var wrong = 0
    while next < UInt64(total) {
      let before = next
      try fetcher.receive { message, descriptors throws(Never) in
        guard case .fetch(let fetch) = message else { return }
        if fetch.connection != next || descriptors.count != (next % 10 == 0 ? 1 : 0) { wrong += 1 }
        next += 1
      }
      try frontend.flush()
      #expect(next > before)
      if next == before { break }
    }
    #expect(wrong == 0)
    #expect(!frontend.hasQueued)
    #expect(OpenDescriptors.count(linkContaining: name) == 0)
  }

  @Test func aPeerThatDoesNotReadIsGivenUp() throws {
    let (frontend, _peer) = try rawPair(FrontendEnd.self)
    let fetch = LentFetch(
      connection: 1, carriesSocket: false, peer: "", frame: [UInt8](repeating: 1, count: 60_000))
    var sent = 0
    do throws(ChannelError) {
      while sent < 10_000 {
        try frontend.send(.fetch(fetch))
        sent += 1
      }
    } catch { #expect("\(error)" == "the peer does not read") }
    #expect(sent >= (ChannelLimits.queuedBytesMax / 60_100))
    #expect(sent < (ChannelLimits.queuedBytesMax / 60_000) + 100)
    withExtendedLifetime(_peer) {}
  }

  @Test func queuedBodiesAndDescriptorsCountToo() throws {
    let (frontend, _peer) = try rawPair(FrontendEnd.self)
    let filler = LentFetch(
      connection: 1, carriesSocket: false, peer: "", frame: [UInt8](repeating: 1, count: 60_000))
    while !frontend.hasQueued { try frontend.send(.fetch(filler)) }
    let large = LentFetch(
      connection: 1, carriesSocket: false, peer: "", frame: [UInt8](repeating: 1, count: 30 << 20))
    try frontend.send(.fetch(large))
    try frontend.send(.fetch(large))
    #expect(throws: ChannelError.self) { try frontend.send(.fetch(large)) }

    let (other, _otherPeer) = try rawPair(FrontendEnd.self)
    while !other.hasQueued { try other.send(.fetch(filler)) }
    let name = OpenDescriptors.uniqueName()
    let memory = try MemoryFile.shared(name: name, size: 1)
    let lent = FrontendToFetcher.fetch(Samples.fetch(socket: true))
    for _ in 0..<ChannelLimits.queuedDescriptorsMax {
      try other.send(lent, descriptors: [memory.rawValue])
    }
    #expect(throws: ChannelError.self) {
      try other.send(lent, descriptors: [memory.rawValue])
    }
    withExtendedLifetime((_peer, _otherPeer)) {}
  }

  @Test func tenThousandHandOversLeakNothing() throws {
    let (frontend, fetcher) = try channelPair(FrontendEnd.self)
    let name = OpenDescriptors.uniqueName()
    let memory = try MemoryFile.shared(name: name, size: 1)
    let lent = FrontendToFetcher.fetch(Samples.fetch(socket: true))
    var arrived = 0
    for round in 0..<100 {
      for _ in 0..<100 { try frontend.send(lent, descriptors: [memory.rawValue]) }
      while arrived < (round + 1) * 100 {
        try fetcher.receive { _, descriptors throws(Never) in
          arrived += 1
          // Half of them are taken and closed, the others are left to the channel.
          if arrived % 2 == 0, let taken = descriptors.take() { taken.close() }
        }
        try frontend.flush()
      }
    }
    #expect(arrived == 10_000)
    #expect(OpenDescriptors.count(linkContaining: name) == 1)
  }

  @Test func aHandlersErrorComesOutAndItsDescriptorsAreClosed() throws {
    struct Stop: Error {}
    let (frontend, fetcher) = try channelPair(FrontendEnd.self)
    let name = OpenDescriptors.uniqueName()
    let memory = try MemoryFile.shared(name: name, size: 1)
    try frontend.send(.fetch(Samples.fetch(socket: true)), descriptors: [memory.rawValue])
    try frontend.send(.forget(connection: 5))
    #expect(throws: ReceiveError<Stop>.self) {
      try fetcher.receive { _, _ throws(Stop) in throw Stop() }
    }
    #expect(OpenDescriptors.count(linkContaining: name) == 1)
    #expect(try heard(fetcher) == ["\(FrontendToFetcher.forget(connection: 5)) +0"])
  }

  @Test func receivingIsLimitedPerCall() throws {
    let (frontend, fetcher) = try channelPair(FrontendEnd.self)
    for number in 0..<5 { try frontend.send(.forget(connection: UInt64(number))) }
    var count = 0
    #expect(try fetcher.receive(limit: 3) { _, _ throws(Never) in count += 1 })
    #expect(count == 3)
    #expect(try !fetcher.receive(limit: 3) { _, _ throws(Never) in count += 1 })
    #expect(count == 5)
  }
}
