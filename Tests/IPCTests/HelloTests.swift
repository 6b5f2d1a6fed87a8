// Greetings: which are taken and which rule refuses the others.
import Linux
import Model
import Testing

@testable import IPC

struct HelloTests {
  private func decode(_ bytes: [UInt8], at role: Role) -> (Hello?, String) {
    bytes.withUnsafeBytes { raw in
      do { return (try Hello(decoding: raw, at: role), "") } catch { return (nil, "\(error)") }
    }
  }

  @Test(arguments: Edge.all)
  func everyEdgeGreets(edge: Edge) {
    let hello = Hello(edge: edge, instance: 3)
    #expect(hello.encoded().count == Hello.size)
    #expect(decode(hello.encoded(), at: edge.to).0 == hello)
    for role in Role.allCases where role != edge.to {
      #expect(decode(hello.encoded(), at: role).0 == nil)
    }
  }

  @Test func theVersionMustAgree() {
    var bytes = Hello(edge: .frontendToLogWriter, instance: 1).encoded()
    let ours = Edge.frontendToLogWriter.version
    bytes[6] = UInt8(ours + 1)
    #expect(
      decode(bytes, at: .logwriter).1
        == "frontend speaks version \(ours + 1), this logwriter \(ours)")
  }

  @Test func whatIsNoGreeting() {
    let good = Hello(edge: .frontendToLogWriter, instance: 1).encoded()
    #expect(decode([], at: .logwriter).1 == "message ends inside an integer")
    #expect(
      decode(Array("GET / HTTP/1".utf8), at: .logwriter).1 == "the first datagram is no greeting")
    #expect(decode(good + [0], at: .logwriter).1 == "1 bytes left over after the message")
    for count in 0..<good.count { #expect(decode(Array(good[..<count]), at: .logwriter).0 == nil) }
    var other = good
    other[4] = 9
    #expect(decode(other, at: .logwriter).1 == "role 9 does not connect to role 2 at a logwriter")
  }

  private func outcome(_ socket: borrowing OwnedFD) -> String {
    switch Greeting.read(socket, at: .logwriter) {
    case .hello(let hello): "\(hello.edge) \(hello.instance)"
    case .waiting: "waiting"
    case .refused(let why): why
    }
  }

  @Test func readingAGreeting() throws {
    let pair = try UnixSocket.pair()
    #expect(outcome(pair.first) == "waiting")
    let hello = Hello(edge: .fetcherToLogWriter, instance: 4).encoded()
    try hello.withRawBytes { raw throws(Errno) in _ = try UnixSocket.send(pair.second, raw) }
    #expect(outcome(pair.first) == "\(Edge.fetcherToLogWriter) 4")

    let name = OpenDescriptors.uniqueName()
    let memory = try MemoryFile.shared(name: name, size: 1)
    try hello.withRawBytes { raw throws(Errno) in
      _ = try UnixSocket.send(pair.second, raw, descriptors: [memory.rawValue])
    }
    #expect(outcome(pair.first) == "descriptors in a greeting")
    #expect(OpenDescriptors.count(linkContaining: name) == 1)

    let long = [UInt8](repeating: 0, count: 100)
    try long.withRawBytes { raw throws(Errno) in _ = try UnixSocket.send(pair.second, raw) }
    #expect(outcome(pair.first).hasPrefix("recvmsg: Message too long"))
  }

  @Test func aPeerThatGoesWithoutGreeting() throws {
    var outcome = ""
    try UnixSocket.pair().split { first, second in
      second.close()
      outcome = self.outcome(first)
    }
    #expect(outcome == "closed before its greeting")
  }

  @Test func socketNames() {
    #expect(SocketName.fetcherInstance(SocketName.fetcher(12)) == 12)
    for name in ["fetcher-.sock", "fetcher-x.sock", "logwriter.sock", "fetcher-1.socket"] {
      #expect(SocketName.fetcherInstance(name) == nil)
    }
  }
}
