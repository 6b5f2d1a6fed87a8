// Several log directories, of which one fails: its partitions are offline, the others go on.

import Foundation
import Glibc
import IPC
import Linux
import Model
import Testing

@testable import LogWriter
@testable import Storage

@Suite(.serialized) struct FailedDirectoryTests {
  /// Fails everything below a directory.
  final class HalfDevice: LogDevice {
    var failing: String?
    var code = EIO

    private func check(_ path: String) throws(Errno) {
      if let failing, path.hasPrefix(failing) { throw Errno(code, "open", path) }
    }

    override func open(_ path: String, _ mode: OpenMode) throws(Errno) -> OwnedFD {
      try check(path)
      return try super.open(path, mode)
    }

    override func makeDirectory(_ path: String) throws(Errno) -> Bool {
      try check(path)
      return try super.makeDirectory(path)
    }
  }

  private struct Setup {
    let device = HalfDevice()
    let second: TemporaryDirectory
    let broker: Broker
    let coordinator: CoordinatorSide
    let states: [PartitionState]
    let frontend: FrontendSide

    /// Four partitions, two in each of two directories.
    init() throws {
      second = try TemporaryDirectory()
      broker = try Broker(device: device, moreLogDirs: [second.path])
      coordinator = try CoordinatorSide(broker)
      states = try coordinator.create(4)
      frontend = try FrontendSide(broker)
    }

    /// Partitions with a directory below `path`.
    func partitions(in path: String) throws -> [Int] {
      try File.names(in: path).compactMap { $0.hasPrefix("t-") ? Int($0.dropFirst(2)) : nil }
        .sorted()
    }

    func logDirs() throws -> [LogDirState] {
      try coordinator.sibling.send(.describeLogDirs(token: 8))
      while true {
        if case .logDirs(8, let directories) = try coordinator.sibling.next() {
          return directories
        }
      }
    }
  }

  @Test func partitionsAreSpread() throws {
    let setup = try Setup()
    let here = try setup.partitions(in: setup.broker.logPath)
    let there = try setup.partitions(in: setup.second.path)
    #expect(here.count == 2)
    #expect(there.count == 2)
    #expect(Set(here + there) == [0, 1, 2, 3])
    _ = try setup.frontend.append(setup.states[there[0]], batch())
    let directories = try setup.logDirs()
    #expect(directories.map(\.path) == [setup.broker.logPath, setup.second.path])
    #expect(directories.allSatisfy { $0.error == .none && $0.totalBytes >= $0.usableBytes })
    #expect(directories[1].partitions.map(\.partition) == there.map { Int32($0) })
    #expect(directories[1].partitions[0].size == Int64(batch().count))
    #expect(directories[0].partitions.map(\.size) == [0, 0])
  }

  @Test func oneFails() throws {
    let setup = try Setup()
    let there = try setup.partitions(in: setup.second.path)
    let here = try setup.partitions(in: setup.broker.logPath)
    setup.device.failing = setup.second.path
    let answer = try setup.frontend.append(setup.states[there[0]], batch())
    #expect(answer.error == .kafkaStorageError)
    #expect(answer.trouble == .offline)
    // Both partitions are shown as offline, and the coordinator is told of both.
    for number in there {
      #expect(setup.coordinator.entry(setup.states[number])?.isOffline == true)
    }
    var told: Set<Int32> = []
    while told.count < 2 {
      guard case .partitionChanged(let state) = try setup.coordinator.sibling.next() else {
        throw Unexpected()
      }
      #expect(state.error == .kafkaStorageError)
      told.insert(state.name.partition)
    }
    #expect(told == Set(there.map { Int32($0) }))
    #expect(try setup.frontend.append(setup.states[here[0]], batch()).error == .none)
    #expect(setup.broker.writer.status.contains("\(setup.second.path) is offline"))
    let directories = try setup.logDirs()
    #expect(directories[1].error == .kafkaStorageError)
    #expect(directories[0].partitions.count == 2)
    // New partitions go where they can.
    let more = try setup.coordinator.create([setup.coordinator.spec(4), setup.coordinator.spec(5)])
    #expect(more.allSatisfy { $0.error == .none })
    #expect(try setup.partitions(in: setup.broker.logPath).count == 4)
  }

  @Test func oneCannotBeOpened() throws {
    let setup = try Setup()
    let there = try setup.partitions(in: setup.second.path)
    setup.device.failing = setup.second.path
    try setup.broker.crash()
    let coordinator = try CoordinatorSide(setup.broker)
    #expect(coordinator.inventory.count == 2)
    var specs = (0..<4).map { coordinator.spec(Int32($0)) }
    for index in specs.indices { specs[index].creation = .done }
    let states = try coordinator.create(specs)
    // What lies in the other directory is not made anew here.
    for (number, state) in states.enumerated() {
      #expect((state.error == .kafkaStorageError) == there.contains(number))
    }
    #expect(try coordinator.create([coordinator.spec(9)])[0].error == .none)
    // The disk is there again: nothing is lost.
    setup.device.failing = nil
    try setup.broker.crash()
    #expect(try CoordinatorSide(setup.broker).inventory.count == 5)
  }

  @Test func noneIsLeft() throws {
    let device = HalfDevice()
    let broker = try Broker(device: device)
    let coordinator = try CoordinatorSide(broker)
    let state = try coordinator.create(1)[0]
    let frontend = try FrontendSide(broker)
    device.failing = broker.logPath
    device.code = EROFS
    #expect(try frontend.append(state, batch()).error == .kafkaStorageError)
    #expect(broker.writer.store.lastFailure != nil)
  }

  /// One bad file is not a bad disk.
  @Test func aDirectoryThatIsThereIsKept() throws {
    let broker = try Broker()
    let coordinator = try CoordinatorSide(broker)
    let states = try coordinator.create(2)
    let frontend = try FrontendSide(broker)
    try File.remove("\(broker.logPath)/t-0/00000000000000000000.log")
    #expect(try frontend.append(states[0], batch()).error == .kafkaStorageError)
    #expect(try frontend.append(states[1], batch()).error == .none)
    #expect(broker.writer.store.lastFailure == nil)
  }

  @Test func aDirectoryThatIsGoneIsGivenUp() throws {
    let setup = try Setup()
    let there = try setup.partitions(in: setup.second.path)
    try FileManager.default.removeItem(atPath: setup.second.path)
    #expect(try setup.frontend.append(setup.states[there[1]], batch()).error == .kafkaStorageError)
    #expect(setup.coordinator.entry(setup.states[there[0]])?.isOffline == true)
  }
}
