// What groups are told while the logwriter is away, recovers, or has lost something.

import IPC
import KafkaProtocol
import Model
import Records
import Testing

@testable import Coordinator

extension GroupApiTests {
  @Test func aShortAbsenceOfTheLogwriterIsNotNoticed() throws {
    let world = try world()
    let member = try stable(world)
    world.disconnect()
    let commit = try member.commit(5)
    #expect(try member.commitError(commit) == nil)
    #expect(try member.heartbeat() == .none)
    world.logWriter.restart()
    world.pass(500)
    world.connect()
    world.settle()
    #expect(try member.commitError(commit) == ErrorCode.none)
    #expect(try offset(world) == 5)
    #expect(try state(world) == "Stable")
  }

  @Test(arguments: [true, false]) func anUnansweredAppendIsSettledByTheEndOfTheLog(
    wasAppended: Bool
  ) throws {
    let world = try world()
    let member = try stable(world)
    let slot = try #require(
      world.logWriter.log(
        "__consumer_offsets", Int32(GroupPartition.of("g", partitions: 3)))
    ).slot
    world.delivers = false
    let commit = try member.commit(5)
    let message = world.lastUndelivered
    if wasAppended, case .some(.append(_, _, _, _, let batches)) = message {
      let entry = world.logWriter.append(slot, batches)
      #expect(entry.error == .none)
    }
    world.disconnect()
    world.delivers = true
    world.logWriter.restart()
    world.connect()
    world.settle()
    #expect(try member.commitError(commit) == ErrorCode.none)
    #expect(try offset(world) == 5)
    #expect(world.logWriter.records(slot).count == 2)
    #expect(try state(world) == "Stable")
  }

  @Test func aLongAbsenceEndsTheWait() throws {
    let world = try world()
    let member = try stable(world)
    world.delivers = false
    let sent = try member.commit(5)
    world.disconnect()
    let unsent = try member.commit(6)
    world.pass(5_000)
    #expect(try member.commitError(sent) == .coordinatorNotAvailable)
    #expect(try member.commitError(unsent) == .coordinatorNotAvailable)
    world.delivers = true
    world.connect()
    // What the log says counts, and it never got these.
    #expect(try offset(world) == -1)
    #expect(try state(world) == "Stable")
  }

  @Test(arguments: [true, false]) func aLogThatIsRecoveredLaterIsWaitedFor(inTime: Bool) throws {
    let world = try world()
    let member = try stable(world)
    world.disconnect()
    let commit = try member.commit(5)
    world.logWriter.restart()
    world.logWriter.failures["__consumer_offsets"] = .leaderNotAvailable
    world.connect()
    #expect(try member.heartbeat() == .none)
    #expect(try member.commitError(commit) == nil)
    if !inTime {
      world.pass(5_000)
      #expect(try member.commitError(commit) == .coordinatorNotAvailable)
    }
    let second = try member.commit(6)
    world.logWriter.failures = [:]
    for partition in world.logWriter.inventory { world.broker.topics.changed(partition) }
    world.settle()
    if inTime { #expect(try member.commitError(commit) == ErrorCode.none) }
    #expect(try member.commitError(second) == ErrorCode.none)
    #expect(try offset(world) == 6)
    #expect(try state(world) == "Stable")
  }

  @Test func aLogThatIsNotWhatWeThinkIsReadAnew() throws {
    let world = try world()
    let member = try stable(world)
    _ = try member.commit(5)
    world.disconnect()
    let slot = try #require(
      world.logWriter.log(
        "__consumer_offsets", Int32(GroupPartition.of("g", partitions: 3)))
    ).slot
    // A crash of the machine took the end of the log.
    world.logWriter.logs[slot]?.bytes = []
    world.logWriter.logs[slot]?.endOffset = 0
    world.connect()
    #expect(try offset(world) == -1)
    #expect(try member.heartbeat() == .unknownMemberId)
  }

  @Test func aLogwriterThatIsLostWhileLoadingIsReadAnew() throws {
    let directory = TemporaryDirectory.make()
    let logWriter = FakeLogWriter()
    _ = try leave(directory, logWriter) { _, member in _ = try member.commit(7) }
    let after = try FakeWorld(
      ["offsets.topic.num.partitions=3"], store: try SQLiteStore(directory: directory),
      logWriter: logWriter, connect: false)
    for _ in 0..<3 {
      after.connect(answering: 1)
      #expect(try offset(after) == nil)
      after.disconnect()
      logWriter.restart()
    }
    after.connect()
    #expect(try offset(after) == 7)
  }

  @Test func whatIsTooLargeForTheLogIsRefusedBeforeItIsSent() throws {
    let world = try world(["message.max.bytes=20000"])
    let member = try stable(world)
    let before = world.logWriter.messages.count
    let answer = try world.ask(
      OffsetCommitRequest(
        groupId: "x",
        topics: [
          .init(
            name: "t",
            partitions: (0..<10).map { _ in
              .init(
                partitionIndex: 0, committedOffset: 1,
                committedMetadata: String(repeating: "x", count: 4_000))
            })
        ]), version: 8)
    #expect(
      Set(answer.topics[0].partitions.map(\.errorCode)) == [.invalidCommitOffsetSize])
    #expect(world.logWriter.messages.count == before)
    #expect(try member.heartbeat() == .none)
  }

  @Test func membersMayNotOfferMoreThanFits() throws {
    let world = try world()
    var errors: [ErrorCode] = []
    for number in 0..<5 {
      let joined = try world.send(
        JoinGroupRequest(
          groupId: "big", sessionTimeoutMs: 10_000, protocolType: "consumer",
          protocols: [.init(name: "p", metadata: [UInt8](repeating: 1, count: 8 << 20))]),
        version: 3, clientId: "\(number)")
      if let answer = try world.answer(JoinGroupResponse.self, to: joined) {
        errors.append(answer.errorCode)
      }
    }
    #expect(errors == [.groupMaxSizeReached, .groupMaxSizeReached])
  }
}
