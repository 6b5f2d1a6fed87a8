// Produce requests from their frame to their results: walks the frame in place, judges each
// partition's batch where it lies in the slab, and gathers the entries for the logwriter. What was
// refused here has its result at once; the others get theirs from `AppendQueue`. No I/O.
//
// A batch that a codec must open first goes through `OpeningQueue`. Its request, and every later one
// of the same connection, stands in a line meanwhile, so that nothing overtakes it.

import DequeModule
import Glibc
import IPC
import KafkaProtocol
import Model
import Records

final class ProducePath {
  var topics = TopicIndex()
  var requests = PendingTable<PendingProduce>()
  var queue: AppendQueue
  var openings: OpeningQueue
  let base: UnsafeMutableRawPointer
  var opening: OpeningRules
  /// Counts updates of the image.
  private var image: UInt64 = 0
  /// Batches of the request being accepted that are to be opened.
  private var plans: [(append: PendingNumber, entry: OpenEntry)] = []
  /// Requests with batches to be opened, and those behind them, by connection; empty most of the
  /// time.
  private var lines: [UInt64: Deque<PendingNumber>] = [:]

  /// - Parameter base: where the slab is mapped.
  init(base: UnsafeMutableRawPointer, opening: OpeningRules = OpeningRules()) {
    self.base = base
    self.opening = opening
    queue = AppendQueue()
    openings = OpeningQueue()
  }

  /// Takes an update of the image over.
  func apply(_ update: ImageUpdate) {
    topics.apply(update)
    image += 1
  }

  /// A frame that was received, and where from.
  struct Arrival {
    var connection: UInt64
    var chunk: ChunkIndex
    var frameOffset: Int
    var frameCount: Int
    var head: RequestHead
    var nowNs: UInt64
    /// Wall clock, ms.
    var nowMs: Int64
  }

  /// A batch that was refused, and where it was to go.
  struct Refused {
    var rejection: RecordBatchRejection
    var topic: String
    var partition: Int32
  }

  /// The first batch that was refused of the request last accepted, until somebody takes it.
  private var refused: Refused?

  func takeRefused() -> Refused? {
    defer { refused = nil }
    return refused
  }

  /// Whoever waits for a logwriter waits this long at most, ms.
  static let waitMsMax: Int32 = 10_000

  /// A broker cannot have more partitions, so that nobody needs to name more in one request.
  static let partitionsMax = ScoreboardLayout.capacity

  /// Begins to serve a request. Its frame must stay in the slab until `finish`.
  /// - Parameter refreshImage: brings the image up to date; called before a topic or a partition is
  ///   called unknown.
  /// - Throws: the request cannot be read; nothing was begun.
  func accept(_ arrival: Arrival, refreshImage: () -> Void) throws(WireError) -> PendingNumber {
    let frame = frame(arrival.frameOffset, arrival.frameCount)
    var walker = try ProduceRequestWalker(
      reading: WireReader(frame.bytes, from: arrival.head.bodyOffset),
      version: arrival.head.apiVersion)
    let waitMs = UInt64(min(max(walker.timeoutMs, 0), Self.waitMsMax))
    let number = requests.add(
      PendingProduce(
        connection: arrival.connection, chunk: arrival.chunk, frameOffset: arrival.frameOffset,
        frameCount: arrival.frameCount, bodyOffset: arrival.head.bodyOffset,
        version: arrival.head.apiVersion, acks: walker.acks,
        correlationId: arrival.head.correlationId,
        deadlineNs: arrival.nowNs &+ waitMs &* 1_000_000))
    if !plans.isEmpty { plans.removeAll(keepingCapacity: true) }
    var target = Target(version: arrival.head.apiVersion)
    target.mayWriteInternal = isAdminClient(arrival.head, frame)
    do throws(WireError) {
      while let item = try walker.next() {
        switch item {
        case .topicProduceData(let topic): target.enter(topic, topics, frame)
        case .partitionProduceData(let partition):
          if requests[number].partitionCount >= Self.partitionsMax {
            throw WireError(.countExceedsBytes, "partitionData", at: walker.reader.offset)
          }
          add(partition, of: number, &target, frame, arrival.nowMs, refreshImage)
        }
      }
    } catch {
      discardPartitions(number)
      requests.remove(number)
      throw error
    }
    requests[number].image = image
    admit(number, from: arrival.connection)
    return number
  }

  /// Whether all partitions have their results.
  func isAnswered(_ number: PendingNumber) -> Bool {
    requests[number].unanswered == 0 && !requests[number].isInLine
  }

  /// Forgets an answered request; its frame is of no use any more.
  func finish(_ number: PendingNumber) {
    precondition(isAnswered(number), "a request that is not answered")
    discardPartitions(number)
    requests.remove(number)
  }

  /// Calls `body` with each chunk that a batch of the request has for itself.
  func forEachOwnChunk(of number: PendingNumber, _ body: (ChunkIndex) -> Void) {
    var next = requests[number].first
    while next >= 0 {
      let append = queue.appends[next]
      if append.chunk != ChunkPool.none { body(append.chunk) }
      next = append.next
    }
  }

  /// The first partition's error that is one.
  func firstError(_ number: PendingNumber) -> ErrorCode? {
    var next = requests[number].first
    while next >= 0 {
      let append = queue.appends[next]
      if append.error != .none { return append.error }
      next = append.next
    }
    return nil
  }

  enum CurrentPartition {
    case unknown
    case partition(PartitionImage)
  }

  /// The partition of an entry as the image has it now. Walks the frame: for rare occasions.
  func currentPartition(of append: PendingAppend) -> CurrentPartition {
    let request = requests[append.request]
    do throws(WireError) {
      guard let image = try find(append.ordinal, in: request) else { return .unknown }
      return .partition(image)
    } catch {
      preconditionFailure("a request that was read once cannot be read again: \(error)")
    }
  }

  private func find(_ ordinal: Int32, in request: PendingProduce) throws(WireError)
    -> PartitionImage?
  {
    let frame = frame(request.frameOffset, request.frameCount)
    var walker = try ProduceRequestWalker(
      reading: WireReader(frame.bytes, from: request.bodyOffset), version: request.version)
    var target = Target(version: request.version)
    var position: Int32 = 0
    while let item = try walker.next() {
      switch item {
      case .topicProduceData(let topic): target.enter(topic, topics, frame)
      case .partitionProduceData(let partition):
        if position == ordinal { return target.partition(partition.index, topics) }
        position += 1
      }
    }
    return nil
  }

  func frame(_ offset: Int, _ count: Int) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: base + offset, count: count)
  }

  private func discardPartitions(_ number: PendingNumber) {
    var next = requests[number].first
    while next >= 0 {
      let entry = next
      next = queue.appends[entry].next
      queue.appends.remove(entry)
    }
  }

  // MARK: The line

  /// Gives a request to the logwriter's queue, unless it or an earlier one of its connection has
  /// batches to be opened.
  private func admit(_ number: PendingNumber, from connection: UInt64) {
    var next = requests[number].first
    while next >= 0 {
      if queue.appends[next].error == .none { requests[number].unanswered += 1 }
      next = queue.appends[next].next
    }
    if plans.isEmpty, lines.isEmpty || lines[connection] == nil { return enqueue(number) }
    requests[number].isInLine = true
    requests[number].line = connection
    requests[number].unopened = Int32(plans.count)
    lines[connection, default: []].append(number)
    for (append, entry) in plans { openings.add(append, entry) }
  }

  private func enqueue(_ number: PendingNumber) {
    var next = requests[number].first
    while next >= 0 {
      if queue.appends[next].error == .none { queue.add(next) }
      next = queue.appends[next].next
    }
  }

  /// A codec is done with a batch, or nobody will open it.
  /// - Returns: requests that have left their line for that, oldest first.
  func opened(_ append: PendingNumber) -> [PendingNumber] {
    let number = queue.appends[append].request
    requests[number].unopened -= 1
    let connection = requests[number].line
    guard requests[number].unopened == 0, lines[connection]?.first == number else { return [] }
    var left: [PendingNumber] = []
    while let first = lines[connection]?.first, requests[first].unopened == 0 {
      lines[connection]?.removeFirst()
      requests[first].isInLine = false
      if requests[first].image != image { lookUpAgain(first) }
      enqueue(first)
      left.append(first)
    }
    if lines[connection]?.isEmpty == true { lines[connection] = nil }
    return left
  }

  /// Gives the partitions of a request the slots that they have now.
  private func lookUpAgain(_ number: PendingNumber) {
    var next = requests[number].first
    while next >= 0 {
      let append = queue.appends[next]
      // One that is not there any more is refused by the logwriter.
      if append.error == .none, case .partition(let image) = currentPartition(of: append) {
        queue.appends[next].slot = image.slot
        queue.appends[next].generation = image.generation
      }
      next = append.next
    }
  }

  // MARK: Judging

  private func add(
    _ partition: ProduceRequestWalker.PartitionProduceData, of number: PendingNumber,
    _ target: inout Target, _ frame: UnsafeRawBufferPointer, _ nowMs: Int64,
    _ refreshImage: () -> Void
  ) {
    var append = PendingAppend(
      request: number, ordinal: requests[number].partitionCount, acks: requests[number].acks)
    var plan: OpenEntry?
    requests[number].partitionCount += 1
    var image = target.partition(partition.index, topics)
    if image == nil, !target.isRefreshed {
      target.isRefreshed = true
      refreshImage()
      target.find(topics, frame)
      image = target.partition(partition.index, topics)
    }
    if let image, let topic = target.number {
      append.slot = image.slot
      append.generation = image.generation
      plan = judge(partition.records, &append, topics[topic], target, frame, nowMs)
      if let rejection = append.rejection, refused == nil {
        refused = Refused(
          rejection: rejection, topic: topics.name(topic), partition: partition.index)
      }
    } else {
      append.error = target.unknown
    }
    let entry = queue.appends.add(append)
    if let plan { plans.append((entry, plan)) }
    let last = requests[number].last
    if last >= 0 { queue.appends[last].next = entry } else { requests[number].first = entry }
    requests[number].last = entry
  }

  /// - Returns: what a codec is to do with the batch, if it has to be opened.
  private func judge(
    _ records: WireSlice?, _ append: inout PendingAppend, _ topic: TopicIndex.Topic,
    _ target: Target, _ frame: UnsafeRawBufferPointer, _ nowMs: Int64
  ) -> OpenEntry? {
    guard (-1...1).contains(append.acks) else {
      append.error = .invalidRequiredAcks
      return nil
    }
    guard append.acks != -1 || !topic.lacksReplicas else {
      append.error = .notEnoughReplicas
      return nil
    }
    guard !topic.isInternal || target.mayWriteInternal else {
      append.error = .invalidTopicException
      return nil
    }
    guard append.slot != PartitionImage.offlineSlot else {
      append.error = .kafkaStorageError
      return nil
    }
    guard append.slot != PartitionImage.noSlot || queue.waitsForImage else {
      append.error = .notLeaderOrFollower
      return nil
    }
    guard let records else {
      append.refuse(.noBatch)
      return nil
    }
    var rules = topic.rules
    rules.produceVersion = target.version
    let bytes = UnsafeRawBufferPointer(rebasing: frame[records.range])
    switch RecordBatchValidator.validate(bytes, rules: rules, nowMs: nowMs) {
    case .failure(let rejection):
      append.refuse(rejection)
      return nil
    case .success(let header):
      // Nobody could have begun the transaction: InitProducerId refuses transactional ids.
      if header.isTransactional { append.error = .invalidTxnState }
      append.isIdempotent = header.hasProducerId
      append.offset = (frame.baseAddress.map { $0 - UnsafeRawPointer(base) } ?? 0) + records.offset
      append.length = Int32(header.sizeInBytes)
      if append.error != .none { return nil }
      correct(append.offset, maxTimestamp: header.maxTimestamp)
      return opening.entry(
        for: header, at: append.offset, rules: rules, compression: topic.compression, nowMs: nowMs)
    }
  }

  /// Kafka corrects the greatest timestamp that a batch's header claims, and so do we: the slab is
  /// ours to write until the logwriter is told of the batch.
  func correct(_ offset: Int, maxTimestamp: Int64) {
    let header = UnsafeMutableRawBufferPointer(start: base + offset, count: RecordBatchHeader.size)
    guard let stored = RecordBatchHeader(UnsafeRawBufferPointer(header)),
      stored.maxTimestamp != maxTimestamp
    else { return }
    RecordBatchHeader.assignMaxTimestamp(maxTimestamp, in: header)
  }

  private func isAdminClient(_ head: RequestHead, _ frame: UnsafeRawBufferPointer) -> Bool {
    guard let clientId = head.clientId, clientId.count == Self.adminClientId.utf8CodeUnitCount,
      let start = frame.baseAddress
    else { return false }
    return memcmp(start + clientId.offset, Self.adminClientId.utf8Start, clientId.count) == 0
  }

  /// The client that Kafka lets write to internal topics.
  private static let adminClientId: StaticString = "__admin_client"
}

/// The topic that a walk over a request is in.
struct Target {
  let version: Int16
  var mayWriteInternal = false
  /// The image has been brought up to date for this request.
  var isRefreshed = false
  private(set) var number: TopicNumber?
  private var name = WireSlice()
  private var id = UUID128.zero

  init(version: Int16) { self.version = version }

  private var isById: Bool { version >= 13 }

  var unknown: ErrorCode {
    isById && number == nil ? .unknownTopicId : .unknownTopicOrPartition
  }

  mutating func enter(
    _ topic: ProduceRequestWalker.TopicProduceData, _ topics: TopicIndex,
    _ frame: UnsafeRawBufferPointer
  ) {
    name = topic.name
    id = topic.topicId
    find(topics, frame)
  }

  mutating func find(_ topics: TopicIndex, _ frame: UnsafeRawBufferPointer) {
    number =
      isById
      ? topics.find(id: id)
      : topics.find(name: UnsafeRawBufferPointer(rebasing: frame[name.range]))
  }

  func partition(_ index: Int32, _ topics: TopicIndex) -> PartitionImage? {
    number.flatMap { topics.partition($0, index) }
  }
}
