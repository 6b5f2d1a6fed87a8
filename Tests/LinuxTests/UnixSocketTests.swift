// SEQPACKET sockets, descriptors over them, and memfds.
import Foundation
import Glibc
import Linux
import Testing

private func links(containing text: String) -> Int {
  guard let names = try? File.names(in: "/proc/self/fd") else { return -1 }
  return names.count { name in
    var target = [CChar](repeating: 0, count: 512)
    let length = readlink("/proc/self/fd/\(name)", &target, target.count)
    return length > 0
      && String(decoding: target[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        .contains(text)
  }
}

/// A directory that goes with the test.
final class TemporaryDirectory {
  let path: String

  init() throws {
    path = NSTemporaryDirectory() + "sluice-\(UUID().uuidString)"
    try File.makeDirectory(path)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}

struct UnixSocketTests {
  private func receive(_ socket: borrowing OwnedFD, capacity: Int = 64) throws -> String {
    try withUnsafeTemporaryAllocation(byteCount: capacity, alignment: 8) { buffer in
      switch try UnixSocket.receive(socket, into: buffer) {
      case .wouldBlock: "would block"
      case .closed: "closed"
      case .datagram(let received):
        "\(Array(buffer[..<received.count])) +\(received.descriptors.count)"
      }
    }
  }

  private func send(_ socket: borrowing OwnedFD, _ bytes: [UInt8], _ descriptors: [Int32] = [])
    throws -> Bool
  {
    try bytes.withRawBytes { raw throws(Errno) in
      try UnixSocket.send(socket, raw, descriptors: descriptors)
    }
  }

  @Test func datagramsKeepTheirBounds() throws {
    let pair = try UnixSocket.pair()
    #expect(try receive(pair.second) == "would block")
    _ = try send(pair.first, [1, 2])
    _ = try send(pair.first, [3])
    #expect(try receive(pair.second) == "[1, 2] +0")
    #expect(try receive(pair.second) == "[3] +0")
    #expect(try receive(pair.second) == "would block")
  }

  @Test func theMostDescriptorsThatFit() throws {
    let name = "many-\(UUID().uuidString)"
    let pair = try UnixSocket.pair()
    let memory = try MemoryFile.shared(name: name, size: 1)
    let most = [Int32](repeating: memory.rawValue, count: UnixSocket.descriptorsMax)
    _ = try send(pair.first, [1], most)
    #expect(try receive(pair.second) == "[1] +253")
    #expect(links(containing: name) == 1)
  }

  @Test func truncationClosesWhatCame() throws {
    let name = "cut-\(UUID().uuidString)"
    let pair = try UnixSocket.pair()
    let memory = try MemoryFile.shared(name: name, size: 1)
    _ = try send(pair.first, [1, 2, 3], [memory.rawValue, memory.rawValue])
    #expect(throws: Errno(EMSGSIZE, "recvmsg")) { try receive(pair.second, capacity: 2) }
    #expect(links(containing: name) == 1)
  }

  @Test func theEndOfAPeer() throws {
    var outcomes: [String] = []
    try UnixSocket.pair().split { first, second in
      do {
        _ = try send(first, [7])
        // The peer dies with this one unread, which the kernel reports before the peer's last words.
        _ = try send(second, [9])
        first.close()
        outcomes = [try receive(second), try receive(second)]
      } catch { outcomes = ["\(error)"] }
    }
    #expect(outcomes == ["[7] +0", "closed"])
  }

  @Test func afterShutdownBothSidesSeeTheEnd() throws {
    let pair = try UnixSocket.pair()
    Socket.shutdownBoth(pair.first)
    #expect(try receive(pair.first) == "closed")
    #expect(try receive(pair.second) == "closed")
  }

  @Test func listeningAndConnecting() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/x.sock"
    #expect(throws: Errno.self) { _ = try UnixSocket.connect(path: path) }
    let listener = try UnixSocket.listen(path: path, backlog: 4)
    #expect(try UnixSocket.accept(listener) == nil)
    let client = try UnixSocket.connect(path: path)
    _ = try send(client, [5])
    guard let server = try UnixSocket.accept(listener) else {
      Issue.record("nobody to accept")
      return
    }
    #expect(try receive(server) == "[5] +0")
    let peer = try UnixSocket.peerCredentials(server)
    #expect(peer.pid == getpid())
    #expect(peer.uid == getuid())
    // A path left by a crash is replaced.
    _ = try UnixSocket.listen(path: path, backlog: 4)
    #expect(throws: Errno.self) {
      _ = try UnixSocket.connect(path: "/" + String(repeating: "x", count: 200))
    }
  }

  @Test func aFullSocketSaysSo() throws {
    let pair = try UnixSocket.pair()
    let bytes = [UInt8](repeating: 0, count: 32 << 10)
    var sent = 0
    while try send(pair.first, bytes) { sent += 1 }
    #expect(sent > 0)
    let epoll = try Epoll()
    try epoll.add(pair.first.rawValue, .writable, token: 7)
    #expect(try epoll.wait(timeoutMs: 0) == 0)
    for _ in 0..<sent { _ = try receive(pair.second, capacity: 64 << 10) }
    #expect(try epoll.wait(timeoutMs: 1000) == 1)
    #expect(epoll.event(0).token == 7)
  }
}

struct MemoryFileTests {
  @Test func sealsHold() throws {
    let size = try MemoryFile.shared(name: "x", size: 8192)
    #expect(MemoryFile.isSealed(size, .size) == true)
    #expect(MemoryFile.isSealed(size, .everything) == false)
    #expect(MemoryFile.isSealed(size, .sizeAndWrites) == false)
    #expect(throws: Errno.self) { try File.truncate(size, to: 4096) }
    #expect(throws: Errno.self) { try File.truncate(size, to: 16384) }
    let mapping = try Mapping(size, count: 8192, writable: true)
    mapping.mutableBytes[8191] = 5

    let body = try MemoryFile.sealed(name: "x", contents: [1, 2, 3])
    #expect(MemoryFile.isSealed(body, .everything) == true)
    #expect(throws: Errno.self) { try File.writeAll([9], to: body) }
    let view = try Mapping(body, count: 3, writable: false)
    #expect(Array(view.bytes) == [1, 2, 3])
    #expect(throws: Errno.self) { _ = try Mapping(body, count: 3, writable: true) }

    let pair = try UnixSocket.pair()
    #expect(MemoryFile.isSealed(pair.first, .size) == false)
  }
}
