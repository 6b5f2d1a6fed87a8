// Files, TCP sockets and epoll: what the callers rely on.
import Glibc
import Linux
import Testing

struct FileTests {
  @Test func replacingAndReading() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/x"
    try File.replace(path, with: [1, 2, 3])
    try File.replace(path, with: [4])
    #expect(try File.contents(path) == [4])
    #expect(try File.names(in: directory.path) == ["x"])
    #expect(throws: Errno(EFBIG, "read", path)) { try File.contents(path, limit: 0) }
    #expect(try File.remove(path))
    #expect(try !File.remove(path))
    #expect(try !File.makeDirectory(directory.path))
    #expect(throws: Errno.self) { try File.contents(path) }
  }

  @Test func readingWithoutWaiting() throws {
    let directory = try TemporaryDirectory()
    let file = try File.open(directory.path + "/x", [.readWrite, .create])
    let size = 400_000
    try File.writeAll([UInt8](repeating: 7, count: size), to: file)
    #expect(try File.isCached(file, at: 0, count: size))
    #expect(try File.isCached(file, at: 0, count: 2 * size))
    var buffer = [UInt8](repeating: 9, count: 4)
    func read(_ offset: Int64) throws -> Int? {
      try buffer.withUnsafeMutableBytes { try File.readCached(file, into: $0, at: offset) }
    }
    #expect(try read(Int64(size) - 2) == 2)
    #expect(buffer == [7, 7, 9, 9])
    #expect(try read(Int64(size)) == 0)
    try File.syncData(file)
    posix_fadvise(file.rawValue, 0, 0, POSIX_FADV_DONTNEED)
    #expect(File.fillCache(file.rawValue, at: 0, count: size) == 0)
    #expect(try File.isCached(file, at: 0, count: size))
    #expect(File.fillCache(-1, at: 0, count: 1) == EBADF)
  }

  @Test func readingAtAPosition() throws {
    let directory = try TemporaryDirectory()
    let file = try File.open(directory.path + "/x", [.readWrite, .create])
    try File.writeAll([0, 1, 2, 3, 4, 5], to: file)
    var buffer = [UInt8](repeating: 9, count: 4)
    let read = try buffer.withUnsafeMutableBytes { try File.read(file, into: $0, at: 4) }
    #expect(read == 2)
    #expect(buffer == [4, 5, 9, 9])
    #expect(try File.status(file).size == 6)
    try File.truncate(file, to: 3)
    #expect(try File.status(directory.path + "/x").size == 3)
    #expect(fcntl(file.rawValue, F_GETFD) == FD_CLOEXEC)
  }
}

struct TCPSocketTests {
  private final class Connection {
    let server: OwnedFD
    let client: OwnedFD

    init() throws {
      let listener = try TCPSocket.listen(
        SocketAddress(host: "127.0.0.1", port: 0, isIPv6: false), backlog: 4)
      guard let address = try TCPSocket.localAddress(listener) else { throw Errno(EINVAL, "") }
      client = try TCPSocket.connect(address)
      let epoll = try Epoll()
      try epoll.add(listener.rawValue, .readable, token: 0)
      _ = try epoll.wait(timeoutMs: 10_000)
      guard let accepted = try TCPSocket.accept(listener) else { throw Errno(EAGAIN, "accept") }
      server = accepted.takeSocket()
    }
  }

  /// How a frontend tells whether a fetcher that died had begun a response.
  @Test func acknowledgedAndQueuedBytesAddUp() throws {
    let connection = try Connection()
    #expect(try TCPSocket.acknowledgedBytes(connection.server) == 0)
    let bytes = [UInt8](repeating: 1, count: 5000)
    var sent: UInt64 = 0
    for _ in 0..<40 {
      let outcome = try bytes.withRawBytes { raw throws(Errno) in
        try TCPSocket.send(connection.server, raw)
      }
      if case .bytes(let count) = outcome { sent += UInt64(count) }
      // Acknowledgements may come in between the two questions, so look until they agree.
      var before: UInt64 = 0
      var total: UInt64 = .max
      repeat {
        before = try TCPSocket.acknowledgedBytes(connection.server)
        total = before + UInt64(try TCPSocket.unacknowledgedBytes(connection.server))
      } while try TCPSocket.acknowledgedBytes(connection.server) != before
      #expect(total == sent)
    }
  }

  @Test func sendingAFile() throws {
    let connection = try Connection()
    let directory = try TemporaryDirectory()
    let file = try File.open(directory.path + "/x", [.readWrite, .create])
    try File.writeAll(Array(0..<200), to: file)
    #expect(
      try TCPSocket.sendFile(connection.server, from: file, offset: 50, count: 100) == .bytes(100))
    #expect(
      try TCPSocket.sendFile(connection.server, from: file, offset: 199, count: 100) == .bytes(1))
    #expect(
      try TCPSocket.sendFile(connection.server, from: file, offset: 200, count: 1) == .bytes(0))
    let epoll = try Epoll()
    try epoll.add(connection.client.rawValue, .readable, token: 0)
    var got: [UInt8] = []
    while got.count < 101 {
      _ = try epoll.wait(timeoutMs: 10_000)
      var buffer = [UInt8](repeating: 0, count: 300)
      let outcome = try buffer.withUnsafeMutableBytes {
        try TCPSocket.receive(connection.client, into: $0)
      }
      guard case .bytes(let count) = outcome, count > 0 else { break }
      got += buffer[..<count]
    }
    #expect(got == Array(50..<150) + [199])
  }

  @Test func addressesAsText() throws {
    #expect(SocketAddress(host: "::1", port: 9, isIPv6: true).description == "[::1]:9")
    #expect(SocketAddress(host: "1.2.3.4", port: 9, isIPv6: false).description == "1.2.3.4:9")
    let resolved = try SocketAddress.resolve(host: "127.0.0.1", port: 80)
    #expect(resolved == [SocketAddress(host: "127.0.0.1", port: 80, isIPv6: false)])
  }
}

struct EpollTests {
  @Test func tokensComeBackWhole() throws {
    let epoll = try Epoll(capacity: 4)
    let first = try EventFD()
    let second = try EventFD()
    try epoll.add(first.descriptor.rawValue, .readable, token: .max - 1)
    try epoll.add(second.descriptor.rawValue, .readable, token: 1 << 40 | 3)
    #expect(try epoll.wait(timeoutMs: 0) == 0)
    first.signal()
    second.signal()
    second.signal()
    #expect(try epoll.wait(timeoutMs: 0) == 2)
    #expect(Set([epoll.event(0).token, epoll.event(1).token]) == [UInt64.max - 1, 1 << 40 | 3])
    #expect(epoll.event(0).readiness == .readable)
    second.drain()
    #expect(try epoll.wait(timeoutMs: 0) == 1)
    try epoll.modify(first.descriptor.rawValue, [], token: 0)
    #expect(try epoll.wait(timeoutMs: 0) == 0)
    try epoll.remove(first.descriptor.rawValue)
  }
}
