// What an acknowledgement means: who waits for the disk, who does not, and what becomes of those who
// wait when it fails. The disk is one whose syncs end when the test lets them.

import Glibc
import IPC
import Linux
import Model
import Testing

@testable import LogWriter
@testable import Storage

/// Every sync takes a byte from a pipe: 0 is success, anything else an errno value.
final class GatedDevice: LogDevice, @unchecked Sendable {
  private let read: OwnedFD
  private let write: OwnedFD

  override init() {
    var ends: [Int32] = [0, 0]
    precondition(pipe(&ends) == 0)
    read = OwnedFD(taking: ends[0])
    write = OwnedFD(taking: ends[1])
    super.init()
  }

  /// Takes back what `open` has given and nobody has taken.
  func drain() {
    while Poll.wait(read, .readable, timeoutMs: 0) {
      var byte: UInt8 = 0
      precondition(Glibc.read(read.rawValue, &byte, 1) == 1)
    }
  }

  /// Lets so many syncs end.
  func open(_ count: Int, _ code: Int32 = 0) {
    let bytes = [UInt8](repeating: UInt8(code), count: count)
    precondition(Glibc.write(write.rawValue, bytes, count) == count)
  }

  override func sync(descriptor: Int32, dataOnly: Bool) throws(Errno) {
    var byte: UInt8 = 0
    precondition(Glibc.read(read.rawValue, &byte, 1) == 1)
    if byte != 0 { throw Errno(Int32(byte), "fdatasync") }
    try super.sync(descriptor: descriptor, dataOnly: dataOnly)
  }
}

@Suite(.serialized) struct DurabilityTests {
  /// Opening a new directory, and the first flush of a partition, take some syncs.
  private static let plenty = 200

  private struct World {
    let device: GatedDevice
    let broker: Broker
    let coordinator: CoordinatorSide
    let frontend: FrontendSide
    let partitions: [PartitionState]

    init(_ count: Int32 = 2, _ configure: (inout LogConfig) -> Void = { _ in }) throws {
      device = GatedDevice()
      device.open(plenty)
      broker = try Broker(device: device)
      coordinator = try CoordinatorSide(broker)
      partitions = try coordinator.create(count, configure)
      frontend = try FrontendSide(broker)
    }

    /// From here on syncs wait. There is one record in each partition, and it is on disk.
    func close() throws {
      for state in partitions {
        #expect(try append(state, acks: -1) == .none)
      }
      device.drain()
    }

    func append(_ state: PartitionState, acks: Int16) throws -> ErrorCode {
      var entry = frontend.entry(state, batch(payload: 10))
      entry.acks = acks
      return try frontend.append([entry])[0].error
    }

    /// Sends appends and takes no answers.
    func send(_ entries: [(state: PartitionState, acks: Int16)], from cookie: UInt64) throws {
      var all: [AppendEntry] = []
      for (index, (state, acks)) in entries.enumerated() {
        var entry = frontend.entry(state, batch(payload: 10), cookie: cookie + UInt64(index))
        entry.acks = acks
        all.append(entry)
      }
      try frontend.sibling.send(.append(all))
    }

    func answers(_ count: Int) throws -> [AppendedEntry] {
      var answers: [AppendedEntry] = []
      while answers.count < count {
        guard case .appended(let part) = try frontend.sibling.next() else { throw Unexpected() }
        answers += part
      }
      return answers
    }

    /// What has come by now.
    func answersThatAreThere() throws -> Int {
      try broker.rounds(20)
      frontend.sibling.poll()
      return frontend.sibling.received.count
    }

    var syncs: UInt64 { broker.writer.store.environment.syncCount }
  }

  @Test func onlyAcksAllWaits() throws {
    let world = try World()
    try world.close()
    let (a, b) = (world.partitions[0], world.partitions[1])
    try world.send([(a, -1), (a, 1), (b, 1), (a, 0)], from: 10)
    #expect(try world.answers(3).map(\.cookie) == [11, 12, 13])
    #expect(try world.answersThatAreThere() == 0)
    // Consumers see it: there is one replica, and it has it.
    #expect(world.coordinator.entry(a)?.highWatermark == 4)
    world.device.open(1)
    let last = try world.answers(1)
    #expect(last.map(\.cookie) == [10])
    #expect(last.map(\.error) == [.none])
    #expect(last.map(\.baseOffset) == [1])
  }

  @Test func oneSyncAnswersAllWhoWait() throws {
    let world = try World(1)
    try world.close()
    let a = world.partitions[0]
    let before = world.syncs
    try world.send([(a, -1)], from: 1)
    #expect(try world.answersThatAreThere() == 0)
    // These come while the first sync runs, in rounds of their own.
    for cookie in 2..<12 {
      try world.send([(a, -1)], from: UInt64(cookie))
      try world.broker.rounds()
    }
    #expect(world.syncs == before + 1)
    world.device.open(1)
    #expect(try world.answers(1).map(\.cookie) == [1])
    #expect(try world.answersThatAreThere() == 0)
    world.device.open(1)
    #expect(try world.answers(10).map(\.cookie) == Array(2..<12))
    #expect(world.syncs == before + 2)
  }

  @Test func partitionsDoNotWaitForEachOther() throws {
    let world = try World()
    try world.close()
    let before = world.syncs
    try world.send([(world.partitions[0], -1), (world.partitions[1], -1)], from: 1)
    try world.broker.rounds(20)
    #expect(world.syncs == before + 2)
    world.device.open(2)
    #expect(Set(try world.answers(2).map(\.cookie)) == [1, 2])
  }

  @Test func aFailedSyncTakesThePartitionOffline() throws {
    let world = try World()
    try world.close()
    let (a, b) = (world.partitions[0], world.partitions[1])
    try world.send([(a, -1), (a, -1)], from: 1)
    try world.broker.rounds(20)
    try world.send([(a, -1)], from: 3)
    try world.broker.rounds(20)
    let before = world.syncs
    world.device.open(1, EIO)
    let answers = try world.answers(3)
    #expect(answers.map(\.cookie) == [1, 2, 3])
    #expect(answers.allSatisfy { $0.error == .kafkaStorageError && $0.baseOffset == -1 })
    guard case .partitionChanged(let state) = try world.coordinator.sibling.next() else {
      throw Unexpected()
    }
    #expect(state.name == a.name)
    #expect(state.error == .kafkaStorageError)
    #expect(state.detail.contains("fdatasync: Input/output error"))
    #expect(world.coordinator.entry(a)?.isOffline == true)
    // A second fdatasync would say that all is well.
    world.device.open(Self.plenty)
    #expect(try world.append(a, acks: -1) == .kafkaStorageError)
    #expect(try world.append(a, acks: 1) == .kafkaStorageError)
    #expect(world.syncs == before)
    // It is the disk that failed, so nothing else in this directory is believed either.
    #expect(try world.append(b, acks: -1) == .kafkaStorageError)
  }

  @Test func aTopicMayChooseThePageCache() throws {
    let world = try World { $0.acksAllDurable = false }
    let before = world.syncs
    world.device.drain()
    #expect(try world.append(world.partitions[0], acks: -1) == .none)
    #expect(world.syncs == before)
    world.device.open(Self.plenty)
  }

  @Test func flushMessagesHoldsUpEveryAnswer() throws {
    let world = try World(1) { $0.flushMessages = 2 }
    try world.close()
    let a = world.partitions[0]
    try world.send([(a, 1)], from: 1)
    #expect(try world.answers(1).map(\.cookie) == [1])
    try world.send([(a, 1)], from: 2)
    #expect(try world.answersThatAreThere() == 0)
    // Nobody waits for the answer to acks=0.
    try world.send([(a, 0)], from: 3)
    #expect(try world.answers(1).map(\.cookie) == [3])
    world.device.open(2)
    #expect(try world.answers(1).map(\.cookie) == [2])
  }

  @Test func flushMsNeedsNobodyToWait() throws {
    let world = try World(1) { $0.flushMs = 1 }
    let a = world.partitions[0]
    #expect(try world.append(a, acks: 1) == .none)
    let log = try #require(world.broker.writer.store.log(slot: a.slot, generation: a.generation))
    try world.broker.run { log.recoveryPoint == 1 }
    // And nothing more is due.
    #expect(world.broker.writer.store.environment.nextTimedFlushMs == nil)
  }

  @Test func theCoordinatorWaitsToo() throws {
    let world = try World(1)
    try world.close()
    let a = world.partitions[0]
    func append(_ token: UInt64, _ acks: Int16) throws {
      try world.coordinator.sibling.send(
        .append(
          token: token, slot: a.slot, generation: a.generation, acks: acks,
          batches: batch(payload: 10)))
    }
    try append(1, -1)
    try append(2, 1)
    guard case .appended(2, _) = try world.coordinator.sibling.next() else { throw Unexpected() }
    try world.broker.rounds(20)
    world.coordinator.sibling.poll()
    #expect(world.coordinator.sibling.received.isEmpty)
    world.device.open(1)
    guard case .appended(1, let entry) = try world.coordinator.sibling.next() else {
      throw Unexpected()
    }
    #expect(entry.error == .none)
    #expect(entry.baseOffset == 1)
  }

  @Test func deletionLeavesNobodyWaiting() throws {
    let world = try World(1)
    try world.close()
    let a = world.partitions[0]
    try world.send([(a, -1)], from: 1)
    try world.broker.rounds(20)
    try world.coordinator.sibling.send(.deletePartitions(token: 1, [a.name]))
    let answers = try world.answers(1)
    #expect(answers.map(\.error) == [.unknownTopicOrPartition])
    world.device.open(Self.plenty)
    try world.broker.rounds(50)
  }

  @Test func aRetryWaitsForWhatItRepeats() throws {
    let world = try World(1)
    try world.close()
    let a = world.partitions[0]
    let bytes = batch(payload: 10, producerId: 3, sequence: 0)
    var first = world.frontend.entry(a, bytes, cookie: 1)
    first.acks = 1
    #expect(try world.frontend.append([first])[0].baseOffset == 1)
    var again = world.frontend.entry(a, bytes, cookie: 2)
    again.acks = -1
    try world.frontend.sibling.send(.append([again]))
    #expect(try world.answersThatAreThere() == 0)
    world.device.open(1)
    let answer = try world.answers(1)[0]
    #expect(answer.baseOffset == 1)
    #expect(answer.error == .none)
  }

  @Test func aRollMovesTheRecoveryPointAndTheCheckpoint() throws {
    let broker = try Broker(overrides: ["log.flush.offset.checkpoint.interval.ms=1"])
    let coordinator = try CoordinatorSide(broker)
    let a = try coordinator.create(1) { $0.segmentBytes = 1_000 }[0]
    let frontend = try FrontendSide(broker)
    for _ in 0..<20 { _ = try frontend.append(a, batch()) }
    let log = try #require(broker.writer.store.log(slot: a.slot, generation: a.generation))
    try broker.run { log.checkpointedRecoveryPoint == log.activeSegment.baseOffset }
    #expect(log.recoveryPoint == 18)
    let text = try File.contents("\(broker.logPath)/recovery-point-offset-checkpoint")
    #expect(text == Array("0\n1\nt 0 18\n".utf8))
    // A crash: only the tail is read, and what was known is known.
    try broker.crash()
    try broker.run { broker.writer.store.unrecovered.isEmpty }
    let again = try CoordinatorSide(broker)
    #expect(again.entry(again.inventory[0])?.logEndOffset == 20)
  }
}
