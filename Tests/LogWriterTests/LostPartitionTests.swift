// Partitions that were created and have no directory at the start: an unmounted disk, a directory that
// someone removed.

import Foundation
import Glibc
import IPC
import Linux
import Model
import Testing

@testable import LogWriter
@testable import Storage

@Suite(.serialized) struct LostPartitionTests {
  private func specs(
    _ side: CoordinatorSide, _ numbers: [Int32], _ creation: PartitionSpec.Creation,
    _ topicId: UUID128 = CoordinatorSide.topicId
  ) -> [PartitionSpec] {
    numbers.map {
      var spec = side.spec($0, topicId: topicId)
      spec.creation = creation
      return spec
    }
  }

  private func partitions(_ path: String) throws -> [String] {
    try File.names(in: path).filter { $0.hasPrefix("t-") }.sorted()
  }

  @Test(arguments: [true, false]) func whatIsGoneIsNotMadeAnew(whole: Bool) throws {
    let broker = try Broker()
    var side = try CoordinatorSide(broker)
    let states = try side.create(3)
    #expect(try FrontendSide(broker).append(states[1], batch()).error == .none)
    let gone = whole ? broker.logPath : "\(broker.logPath)/t-1"
    try broker.restart { try FileManager.default.removeItem(atPath: gone) }
    side = try CoordinatorSide(broker)
    let answers = try side.create(specs(side, [0, 1, 2], .done))
    #expect(answers.map { $0.error == .kafkaStorageError } == [whole, true, whole])
    #expect(answers[1].detail.contains("delete the topic and create it again"))
    #expect(try partitions(broker.logPath) == (whole ? [] : ["t-0", "t-2"]))
    // Others are served, new ones created, and those that nothing can have been in.
    #expect(try side.create(specs(side, [7], .new)).map(\.error) == [.none])
    #expect(try side.create(specs(side, [8], .begun)).map(\.error) == [.none])
    // It can be deleted, and made again as another topic.
    let name = answers[1].name
    try side.sibling.send(.deletePartitions(token: 6, [name]))
    guard case .partitionsDeleted(6, let deleted) = try side.sibling.next() else {
      throw Unexpected()
    }
    #expect(deleted.map(\.error) == [.none])
    let other = UUID128(high: 9, low: 9)
    #expect(try side.create(specs(side, [1], .new, other)).map(\.error) == [.none])
  }

  /// Begun, it may be on the disk that is away: a second one is not made.
  @Test func whatWasBegunWaitsForAnOfflineDirectory() throws {
    let second = try TemporaryDirectory()
    let broker = try Broker(moreLogDirs: [second.path])
    var side = try CoordinatorSide(broker)
    _ = try side.create(2)
    let away = second.path + ".away"
    try broker.restart {
      try FileManager.default.moveItem(atPath: second.path, toPath: away)
      // Not a directory: it cannot be opened.
      try Data().write(to: URL(fileURLWithPath: second.path))
    }
    side = try CoordinatorSide(broker)
    let answers = try side.create(specs(side, [0, 1], .begun))
    #expect(answers.filter { $0.error == .kafkaStorageError }.count == 1)
    #expect(try side.create(specs(side, [2], .new)).map(\.error) == [.none])
    try broker.restart {
      try FileManager.default.removeItem(atPath: second.path)
      try FileManager.default.moveItem(atPath: away, toPath: second.path)
    }
    side = try CoordinatorSide(broker)
    #expect(try side.create(specs(side, [0, 1, 2], .done)).allSatisfy { $0.error == .none })
  }

  /// The topic was created again on another disk: its namesake comes back with the old one, which is
  /// opened first.
  @Test(arguments: [true, false]) func aDeletedNamesakeComesBack(cleanly: Bool) throws {
    let second = try TemporaryDirectory()
    let broker = try Broker(moreLogDirs: [second.path])
    var side = try CoordinatorSide(broker)
    let old = try side.create(2)
    let frontend = try FrontendSide(broker)
    for state in old { #expect(try frontend.append(state, batch()).error == .none) }
    let mine = try #require(try partitions(broker.logPath).first)
    let number = try #require(Int32(mine.dropFirst(2)))
    let copy = "\(broker.temporary.path)/copy"
    try broker.restart {
      try FileManager.default.moveItem(atPath: "\(broker.logPath)/\(mine)", toPath: copy)
    }
    side = try CoordinatorSide(broker)
    let new = UUID128(high: 9, low: 9)
    let made = try side.create(specs(side, [number], .new, new))
    try #require(made.map(\.error) == [.none])
    let bytes = batch(records: 3)
    #expect(try FrontendSide(broker).append(made[0], bytes).error == .none)
    // It may have been made in either; the old one is before it, and behind it.
    let isFirst = File.exists("\(broker.logPath)/\(mine)")
    let target = isFirst ? second.path : broker.logPath
    let back = { try FileManager.default.moveItem(atPath: copy, toPath: "\(target)/\(mine)") }
    if cleanly { try broker.restart(back) } else { try broker.crash(back) }
    side = try CoordinatorSide(broker)
    #expect(side.inventory.filter { $0.name.partition == number }.count == 2)
    try side.sibling.send(.deletePartitions(token: 6, [old[Int(number)].name]))
    while true {
      if case .partitionsDeleted(6, let states) = try side.sibling.next() {
        #expect(states.map(\.error) == [.none])
        break
      }
    }
    var state = try side.create(specs(side, [number], .done, new))[0]
    while state.error == .leaderNotAvailable {
      if case .partitionChanged(let next) = try side.sibling.next() { state = next }
    }
    try #require(state.error == .none)
    #expect(side.entry(state)?.logEndOffset == 3)
    #expect(try FrontendSide(broker).append(state, batch()).baseOffset == 3)
  }

  /// Nobody wants the one that was opened first, and it stays where it is.
  @Test func aStrayNamesakeDoesNotStandInTheWay() throws {
    let second = try TemporaryDirectory()
    let broker = try Broker(moreLogDirs: [second.path])
    var side = try CoordinatorSide(broker)
    _ = try side.create(2)
    let mine = try #require(try partitions(second.path).first)
    let number = try #require(Int32(mine.dropFirst(2)))
    // The same name with another id, in the first directory.
    try broker.restart {
      let stray = "\(broker.logPath)/\(mine)"
      try FileManager.default.copyItem(atPath: "\(second.path)/\(mine)", toPath: stray)
      let id = UUID128(high: 3, low: 3)
      try Data("version: 0\ntopic_id: \(id)\n".utf8).write(
        to: URL(fileURLWithPath: "\(stray)/partition.metadata"))
    }
    side = try CoordinatorSide(broker)
    let state = try side.create(specs(side, [number], .done))[0]
    #expect(state.error == .none)
    #expect(try FrontendSide(broker).append(state, batch()).error == .none)
    #expect(try File.status("\(second.path)/\(mine)/00000000000000000000.log").size > 0)
    #expect(try File.status("\(broker.logPath)/\(mine)/00000000000000000000.log").size == 0)
  }

  /// Fails syncs of whole directories.
  final class ForgetfulDevice: LogDevice {
    var isFailing = false

    override func sync(descriptor: Int32, dataOnly: Bool) throws(Errno) {
      if isFailing, !dataOnly { throw Errno(EIO, "fsync") }
      try super.sync(descriptor: descriptor, dataOnly: dataOnly)
    }
  }

  /// What is told of as created is missed when it is gone: its name must be on disk.
  @Test func createdIsToldWhenTheNameIsOnDisk() throws {
    let device = ForgetfulDevice()
    let broker = try Broker(device: device)
    let side = try CoordinatorSide(broker)
    let before = broker.writer.store.environment.syncCount
    #expect(try side.create(specs(side, [0, 1], .new)).map(\.error) == [.none, .none])
    #expect(broker.writer.store.environment.syncCount == before + 1)
    // Nothing new, nothing to sync.
    #expect(try side.create(specs(side, [0, 1], .done)).map(\.error) == [.none, .none])
    #expect(broker.writer.store.environment.syncCount == before + 1)
    device.isFailing = true
    try side.sibling.send(.createPartitions(token: 5, specs(side, [2], .new)))
    while true {
      guard case .partitionsCreated(5, let states) = try side.sibling.next() else { continue }
      #expect(states.map(\.error) == [.kafkaStorageError])
      break
    }
  }
}
