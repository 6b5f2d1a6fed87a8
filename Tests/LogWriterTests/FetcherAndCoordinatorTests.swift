// Fetchers: segments and wake-ups. The coordinator: partitions, its own appends, lookups, restarts.

import Foundation
import IPC
import Linux
import Model
import Records
import Testing

@testable import LogWriter
@testable import Storage

@Suite(.serialized) struct FetcherTests {
  @Test func segmentsAreHandedOver() throws {
    let broker = try Broker()
    let coordinator = try CoordinatorSide(broker)
    let state = try coordinator.create(1) { $0.segmentBytes = 2_000 }[0]
    let frontend = try FrontendSide(broker)
    let fetcher = try FetcherSide(broker)
    for _ in 0..<30 { _ = try frontend.append(state, batch()) }
    guard case .segment(let closed) = try fetcher.open(state, at: 5) else { throw Unexpected() }
    #expect(closed.token == 9)
    #expect(closed.baseOffset == 0)
    #expect(closed.nextBaseOffset == 12)
    #expect(closed.size == 12 * 161)
    #expect(closed.carriesIndex)
    let log = try fetcher.sibling.takeDescriptor()
    #expect(try headers(try log.contents()).count == 12)
    _ = try fetcher.sibling.takeDescriptor()
    // What is handed over cannot be written.
    #expect(throws: Errno.self) { try File.truncate(log.fd, to: 0) }
    guard case .segment(let active) = try fetcher.open(state, at: 30) else { throw Unexpected() }
    #expect(active.baseOffset == 24)
    #expect(active.nextBaseOffset == .max)
    #expect(active.carriesIndex)
    for _ in 0..<2 { _ = try fetcher.sibling.takeDescriptor() }
    let refusals: [(PartitionState, Int64, ErrorCode)] = [
      (state, 31, .offsetOutOfRange), (state, -1, .offsetOutOfRange),
      (PartitionState(name: state.name, slot: 77, generation: 1), 0, .unknownTopicOrPartition),
      (
        PartitionState(name: state.name, slot: state.slot, generation: state.generation + 1), 0,
        .unknownTopicOrPartition
      ),
    ]
    for (state, offset, error) in refusals {
      guard case .segmentUnavailable(let refusal) = try fetcher.open(state, at: offset) else {
        throw Unexpected()
      }
      #expect(refusal.error == error)
    }
  }

  /// The scoreboard tells that there are aborted transactions, and segments come with their index.
  @Test func transactionIndexesAreHandedOver() throws {
    let broker = try Broker()
    let coordinator = try CoordinatorSide(broker)
    let state = try coordinator.create(1) { $0.segmentBytes = 2_000 }[0]
    let fetcher = try FetcherSide(broker)
    func append(_ batches: [UInt8]) throws {
      try coordinator.sibling.send(
        .append(
          token: 1, slot: state.slot, generation: state.generation, acks: 1, batches: batches))
      guard case .appended(_, let entry) = try coordinator.sibling.next() else {
        throw Unexpected()
      }
      #expect(entry.error == .none)
    }
    func transaction(_ isCommit: Bool) throws {
      var builder = RecordBatchBuilder()
      builder.setProducer(id: 7, epoch: 0, baseSequence: -1, isTransactional: true)
      builder.append(timestamp: 1, key: nil, value: [1])
      try append(builder.build())
      let entry = try #require(coordinator.entry(state))
      #expect(entry.lastStableOffset == entry.logEndOffset - 1)
      try append(
        EndTransactionMarker(isCommit: isCommit, coordinatorEpoch: 0).batch(
          timestamp: 1, producerId: 7, producerEpoch: 0))
      #expect(coordinator.entry(state)?.lastStableOffset == entry.logEndOffset + 1)
    }
    try transaction(true)
    #expect(coordinator.entry(state)?.abortedTransactionsEdition == 0)
    for _ in 0..<25 { try append(batch()) }
    try transaction(false)
    #expect(coordinator.entry(state)?.abortedTransactionsEdition == 1)
    guard case .segment(let first) = try fetcher.open(state, at: 0) else { throw Unexpected() }
    let active = try #require(coordinator.entry(state)).segmentBaseOffset
    #expect(
      first.transactions
        == SegmentTransactions(
          carriesIndex: false, nextBaseOffset: active, lastStableOffset: 29, edition: 1))
    for _ in 0..<2 { _ = try fetcher.sibling.takeDescriptor() }
    guard case .segment(let last) = try fetcher.open(state, at: 28) else { throw Unexpected() }
    #expect(last.baseOffset == active)
    #expect(
      last.transactions
        == SegmentTransactions(
          carriesIndex: true, nextBaseOffset: .max, lastStableOffset: 29, edition: 1))
    for _ in 0..<(last.carriesIndex ? 2 : 1) { _ = try fetcher.sibling.takeDescriptor() }
    let index = try fetcher.sibling.takeDescriptor()
    let expected: [UInt8] = [Int64(7), 27, 28, 29].reduce(into: [0, 0]) { bytes, value in
      withUnsafeBytes(of: value.bigEndian) { bytes += $0 }
    }
    #expect(try index.contents() == expected)
  }

  @Test func onlyMarkedSlotsWake() throws {
    let broker = try Broker()
    let coordinator = try CoordinatorSide(broker)
    let partitions = try coordinator.create(4)
    let frontend = try FrontendSide(broker)
    let fetchers = [try FetcherSide(broker), try FetcherSide(broker)]
    fetchers[0].board.board.mark(partitions[1].slot)
    fetchers[0].board.board.mark(partitions[2].slot)
    _ = try frontend.append([
      frontend.entry(partitions[0], batch()), frontend.entry(partitions[1], batch()),
    ])
    guard case .advanced(let slots) = try fetchers[0].sibling.next() else { throw Unexpected() }
    #expect(slots == [partitions[1].slot])
    _ = try frontend.append(partitions[1], batch())
    fetchers[0].sibling.poll()
    #expect(fetchers[0].sibling.received.isEmpty)
    // The coordinator's records wake as well, at once.
    try coordinator.sibling.send(
      .append(
        token: 1, slot: partitions[2].slot, generation: partitions[2].generation, acks: -1,
        batches: batch()))
    guard case .advanced(let more) = try fetchers[0].sibling.next() else { throw Unexpected() }
    #expect(more == [partitions[2].slot])
    // And so does the end of a partition.
    fetchers[0].board.board.mark(partitions[3].slot)
    try coordinator.sibling.send(.deletePartitions(token: 2, [partitions[3].name]))
    guard case .advanced(let last) = try fetchers[0].sibling.next() else { throw Unexpected() }
    #expect(last == [partitions[3].slot])
    #expect(coordinator.entry(partitions[3]) == nil)
    // Of which all fetchers are told, whatever they wait for.
    guard case .dropped = try fetchers[1].sibling.next() else { throw Unexpected() }
    #expect(fetchers[1].sibling.received.isEmpty)
  }

  @Test func fetchersThatBreakTheRules() throws {
    let broker = try Broker()
    let coordinator = try CoordinatorSide(broker)
    let state = try coordinator.create(1)[0]
    let query = SegmentQuery(token: 1, slot: state.slot, generation: state.generation, offset: 0)
    let early = try Sibling<FetcherToLogWriter, LogWriterToFetcher>(broker, .fetcherToLogWriter)
    try early.send(.openSegment(query))
    try early.expectClosed()
    let twice = try FetcherSide(broker)
    try twice.sibling.send(
      .attachWaitBoard, descriptors: [twice.board.board.descriptor.rawValue])
    try twice.sibling.expectClosed()
    let slab = try Slab(size: 4096)
    let other = try Sibling<FetcherToLogWriter, LogWriterToFetcher>(broker, .fetcherToLogWriter)
    try other.send(.attachWaitBoard, descriptors: [slab.descriptor.rawValue])
    try other.expectClosed()
    guard case .segment = try FetcherSide(broker).open(state, at: 0) else { throw Unexpected() }
  }
}

@Suite(.serialized) struct CoordinatorTests {
  @Test func partitionsComeAndGo() throws {
    let broker = try Broker()
    let coordinator = try CoordinatorSide(broker)
    #expect(coordinator.inventory.isEmpty)
    #expect(coordinator.clusterId.count == 22)
    let partitions = try coordinator.create(3)
    #expect(Set(partitions.map(\.slot)).count == 3)
    let again = try coordinator.create(3)
    #expect(again.map(\.slot) == partitions.map(\.slot))
    #expect(again.map(\.generation) == partitions.map(\.generation))
    let other = UUID128(high: 1, low: 1)
    let clash = try coordinator.create([coordinator.spec(0, topicId: other)])
    #expect(clash[0].error == .inconsistentTopicId)

    try coordinator.sibling.send(
      .deletePartitions(
        token: 3,
        partitions.prefix(2).map(\.name) + [
          PartitionName(topic: "t", partition: 9, topicId: CoordinatorSide.topicId),
          PartitionName(topic: "t", partition: 2, topicId: other),
        ]))
    guard case .partitionsDeleted(3, let deleted) = try coordinator.sibling.next() else {
      throw Unexpected()
    }
    #expect(deleted.count == 4)
    #expect(coordinator.entry(partitions[2])?.logEndOffset == 0)
    let reborn = try coordinator.create([coordinator.spec(0, topicId: other)])[0]
    #expect(reborn.error == .none)
    #expect(partitions.allSatisfy { $0.slot != reborn.slot || $0.generation != reborn.generation })
    try broker.run {
      let names = try File.names(in: broker.logPath)
      return !names.contains { $0.hasSuffix("-delete") }
    }
  }

  @Test func appendsAndLookups() throws {
    let broker = try Broker()
    let coordinator = try CoordinatorSide(broker)
    let state = try coordinator.create(1)[0]
    let port = coordinator.sibling
    func ask(_ message: CoordinatorToLogWriter) throws -> LogWriterToCoordinator {
      try port.send(message)
      return try port.next()
    }
    let (slot, generation) = (state.slot, state.generation)
    for index in 0..<5 {
      let run = batch(records: 2, timestamp: Int64(1_000 * (index + 1)))
      guard
        case .appended(4, let entry) = try ask(
          .append(token: 4, slot: slot, generation: generation, acks: -1, batches: run))
      else { throw Unexpected() }
      #expect(entry.baseOffset == Int64(index * 2))
      #expect(coordinator.entry(state)?.logEndOffset == Int64(index * 2 + 2))
    }
    guard
      case .appended(_, let wrong) = try ask(
        .append(token: 4, slot: slot, generation: 0, acks: -1, batches: batch()))
    else { throw Unexpected() }
    #expect(wrong.error == .unknownTopicOrPartition)
    guard
      case .appended(_, let broken) = try ask(
        .append(token: 4, slot: slot, generation: generation, acks: -1, batches: [1, 2, 3]))
    else { throw Unexpected() }
    #expect(broken.error == .corruptMessage)
    guard
      case .segment(let found) = try ask(
        .lookUpTimestamp(token: 6, slot: slot, generation: generation, timestampMs: 3_500))
    else { throw Unexpected() }
    #expect(found.token == 6)
    #expect(found.startPosition <= 3 * 161)
    guard
      case .segmentUnavailable(let late) = try ask(
        .lookUpTimestamp(token: 7, slot: slot, generation: generation, timestampMs: 5_001))
    else { throw Unexpected() }
    #expect(late.error == .offsetOutOfRange)
    guard
      case .maxTimestamp(8, .none, let offset, let time) = try ask(
        .lookUpMaxTimestamp(token: 8, slot: slot, generation: generation))
    else { throw Unexpected() }
    #expect(offset == 9)
    #expect(time == 5_000)
    guard
      case .segment(let segment) = try ask(
        .openSegment(SegmentQuery(token: 9, slot: slot, generation: generation, offset: 3)))
    else { throw Unexpected() }
    #expect(segment.size == 5 * 161)
  }

  @Test(arguments: [true, false])
  func restarts(_ clean: Bool) throws {
    let broker = try Broker()
    let first = batch(records: 3, timestamp: 1_000, producerId: 4, sequence: 0)
    do {
      let coordinator = try CoordinatorSide(broker)
      let partitions = try coordinator.create(3)
      let frontend = try FrontendSide(broker)
      #expect(try frontend.append(partitions[1], first).baseOffset == 0)
    }
    if clean { try broker.restart() } else { try broker.crash() }
    // Without a clean stop a partition serves when it has been recovered.
    try broker.run { broker.writer.store.unrecovered.isEmpty }
    let coordinator = try CoordinatorSide(broker)
    #expect(coordinator.inventory.count == 3)
    #expect(coordinator.inventory.allSatisfy { $0.error == .none })
    let partitions = try coordinator.create(3)
    #expect(coordinator.entry(partitions[1])?.logEndOffset == 3)
    let frontend = try FrontendSide(broker)
    let again = try frontend.append(partitions[1], first)
    #expect(again.error == .none)
    #expect(again.baseOffset == 0)
    let next = batch(timestamp: 1_000, producerId: 4, sequence: 3)
    #expect(try frontend.append(partitions[1], next).baseOffset == 3)
  }

  @Test func recoveryIsAnnounced() throws {
    let broker = try Broker()
    do {
      let coordinator = try CoordinatorSide(broker)
      let state = try coordinator.create(1)[0]
      let frontend = try FrontendSide(broker)
      _ = try frontend.append(state, batch())
    }
    try broker.crash()
    let unrecovered = broker.writer.store.unrecovered.map(\.partition)
    #expect(unrecovered == [TopicPartition(topic: "t", partition: 0)])
    #expect(
      broker.writer.store.state(of: broker.writer.store.unrecovered[0]).error == .leaderNotAvailable
    )
    try broker.run { broker.writer.store.unrecovered.isEmpty }
    let coordinator = try CoordinatorSide(broker)
    #expect(coordinator.inventory.map(\.error) == [.none])
    #expect(coordinator.entry(coordinator.inventory[0])?.logEndOffset == 1)
  }

  @Test func diskErrorsTakeOnePartitionOffline() throws {
    let broker = try Broker()
    let coordinator = try CoordinatorSide(broker)
    let partitions = try coordinator.create(2)
    let frontend = try FrontendSide(broker)
    // A directory in the place of the file: it cannot be opened for writing.
    let path = "\(broker.logPath)/t-0/00000000000000000000.log"
    try File.remove(path)
    try File.makeDirectory(path)
    let answers = try frontend.append([
      frontend.entry(partitions[0], batch()), frontend.entry(partitions[1], batch()),
    ])
    #expect(answers.map(\.error) == [.kafkaStorageError, .none])
    guard case .partitionChanged(let state) = try coordinator.sibling.next() else {
      throw Unexpected()
    }
    #expect(state.name == partitions[0].name)
    #expect(state.error == .kafkaStorageError)
    #expect(coordinator.entry(partitions[0])?.isOffline == true)
    #expect(try frontend.append(partitions[0], batch()).error == .kafkaStorageError)
    #expect(try frontend.append(partitions[1], batch()).baseOffset == 1)
  }

  @Test func descriptorsDoNotLeak() throws {
    let broker = try Broker()
    let coordinator = try CoordinatorSide(broker)
    let partitions = try coordinator.create(2) { $0.segmentBytes = 1_000 }
    func visit() throws {
      let frontend = try FrontendSide(broker)
      let fetcher = try FetcherSide(broker)
      for index in 0..<4 { _ = try frontend.append(partitions[index % 2], batch()) }
      for state in partitions { _ = try fetcher.open(state, at: 0) }
      _ = try CoordinatorSide(broker)
      let bad = try Sibling<FrontendToLogWriter, LogWriterToFrontend>(broker, .frontendToLogWriter)
      let slab = try Slab(size: 8192)
      try bad.send(.attachSlab(size: 1), descriptors: [slab.descriptor.rawValue])
      try bad.expectClosed()
    }
    try visit()
    try broker.rounds(50)
    let before = openDescriptors()
    for _ in 0..<150 { try visit() }
    // Closed segments are open until they are synced.
    try broker.run { openFiles(below: broker.logPath) < 10 }
    // Other suites open and close descriptors meanwhile; a leak would be 150 or more.
    try broker.run { openDescriptors() < before + 140 }
  }
}
