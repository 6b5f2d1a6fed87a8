// Sockets on their way to the next process, through a store in the test's own process.
import Glibc
import IPC
import Linux
import Testing

@testable import Service

@Suite(.serialized) struct ParcelTests {
  /// Keeps a duplicate, or nothing.
  private final class Store {
    var stored: Int32 = -1
    var takes = true

    var store: DescriptorStore {
      DescriptorStore(
        keep: { [unowned self] descriptor, _ in
          if takes { stored = (try? OwnedFD.duplicate(of: descriptor).release()) ?? -1 }
          return true
        }, drop: {})
    }

    func open() throws -> OpenedParcel { try OpenedParcel(OwnedFD(taking: stored)) }
  }

  private func parcel(_ store: Store) throws -> Parcel {
    let parcel = try Parcel()
    let barrier = try MemoryFile.empty(name: "barrier")
    let isGiven = parcel.give(to: store.store, barrier: barrier)
    #expect(isGiven)
    return parcel
  }

  private func state() throws -> OwnedFD {
    try MemoryFile.sealed(name: "parcel-test", contents: [1, 2])
  }

  private func finish(_ parcel: Parcel) throws {
    let file = try state()
    let isFinished = parcel.finish(file)
    #expect(isFinished)
  }

  @Test(arguments: [0, 1, 253, 254, 1000]) func socketsArriveInOrder(count: Int) throws {
    let store = Store()
    var sent: [Int32] = []
    var identities: [UInt64] = []
    for _ in 0..<count {
      let file = try MemoryFile.empty(name: "socket")
      identities.append(try File.status(file).inode)
      sent.append(file.release())
    }
    var parcel: Parcel? = try parcel(store)
    #expect(parcel?.isRefused == false)
    #expect(parcel?.add(sent) == count)
    if let parcel { try finish(parcel) }
    parcel = nil
    for number in sent { close(number) }
    let opened = try store.open()
    #expect(opened.count == count)
    var received: [UInt64] = []
    while let socket = opened.takeSocket() { received.append(try File.status(socket).inode) }
    #expect(received == identities)
    let hasState = opened.takeState() != nil
    #expect(hasState)
  }

  @Test func aStoreThatDoesNotTakeItIsNoticed() throws {
    let store = Store()
    store.takes = false
    #expect(try parcel(store).isRefused)
  }

  @Test func whatIsIncompleteIsRefusedAndClosed() throws {
    for what in 0..<5 {
      let store = Store()
      do {
        let parcel = try parcel(store)
        let file = try state()
        if what > 0 { #expect(parcel.add([file.rawValue, file.rawValue]) == 2) }
      }
      switch what {
      case 0, 1: break
      case 2: try write(store, [0x53, 0x4C, 0x55, 0x50, 2, 0, 1, 0, 3, 0, 0, 0])
      case 3: try write(store, [0x53, 0x4C, 0x55, 0x50, 2, 0, 2, 0, 2, 0, 0, 0])
      default: try write(store, [1, 2, 3])
      }
      #expect(throws: MessageError.self) { _ = try store.open() }
    }
    #expect(try statesOpen() == 0)
  }

  /// Descriptors of `state` in this process, where other tests run, too.
  private func statesOpen() throws -> Int {
    try File.names(in: "/proc/self/fd").count { name in
      var target = [CChar](repeating: 0, count: 512)
      let length = readlink("/proc/self/fd/\(name)", &target, target.count)
      return length > 0
        && String(decoding: target[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
          .contains("parcel-test")
    }
  }

  /// Puts a parcel with this end into the store in place of the other.
  private func write(_ store: Store, _ bytes: [UInt8]) throws {
    close(store.stored)
    let pair = try UnixSocket.pair()
    let file = try state()
    _ = try bytes.withRawBytes { raw throws(Errno) in
      try UnixSocket.send(pair.first, raw, descriptors: [file.rawValue])
    }
    store.stored = try pair.second.duplicate().release()
  }
}
