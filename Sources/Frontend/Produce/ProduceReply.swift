// The answer to a Produce request, written from its frame: names, ids and partition numbers are
// taken from where they lie, results from the pending entries in the same order. Allocates nothing
// unless a batch was refused, which takes a text.

import IPC
import KafkaProtocol
import Model
import Records

extension ProducePath {
  /// Appends the response frame of an answered request.
  func writeReply(_ number: PendingNumber, to writer: inout WireWriter) {
    let request = requests[number]
    let version = request.version
    let flexible = version >= 9
    let mark = writer.beginResponse(
      to: .produce, version: version, correlationId: request.correlationId)
    do throws(WireError) { try writeTopics(of: request, to: &writer) } catch {
      preconditionFailure("a request that was read once cannot be answered: \(error)")
    }
    writer.writeInt32(0)
    if flexible { writer.writeUnsignedVarint(0) }
    writer.endFrame(mark)
  }

  private func writeTopics(of request: PendingProduce, to writer: inout WireWriter)
    throws(WireError)
  {
    let version = request.version
    let flexible = version >= 9
    let frame = frame(request.frameOffset, request.frameCount)
    var walker = try ProduceRequestWalker(
      reading: WireReader(frame.bytes, from: request.bodyOffset), version: version)
    try writer.writeArrayCount(walker.topicDataCount, compact: flexible, "responses")
    var entry = request.first
    var topicName = WireSlice()
    var partitionsLeft = 0
    while let item = try walker.next() {
      switch item {
      case .topicProduceData(let topic):
        topicName = topic.name
        partitionsLeft = topic.partitionDataCount
        writeTopic(topic, version, frame, to: &writer)
        try writer.writeArrayCount(partitionsLeft, compact: flexible, "partitionResponses")
      case .partitionProduceData(let partition):
        let append = queue.appends[entry]
        try write(append, partition.index, topicName, version, frame, to: &writer)
        entry = append.next
        partitionsLeft -= 1
      }
      if flexible, partitionsLeft == 0 { writer.writeUnsignedVarint(0) }
    }
  }

  private func writeTopic(
    _ topic: ProduceRequestWalker.TopicProduceData, _ version: Int16,
    _ frame: UnsafeRawBufferPointer, to writer: inout WireWriter
  ) {
    if version >= 13 {
      writer.writeUUID(topic.topicId)
      return
    }
    if version >= 9 {
      writer.writeUnsignedVarint(UInt32(topic.name.count + 1))
    } else {
      writer.writeInt16(Int16(topic.name.count))
    }
    writer.writeRaw(topic.name.bytes(in: frame.bytes))
  }

  private func write(
    _ append: PendingAppend, _ partition: Int32, _ topicName: WireSlice, _ version: Int16,
    _ frame: UnsafeRawBufferPointer, to writer: inout WireWriter
  ) throws(WireError) {
    let flexible = version >= 9
    writer.writeInt32(partition)
    writer.writeInt16(append.error.rawValue)
    writer.writeInt64(append.baseOffset)
    writer.writeInt64(append.logAppendTimeMs)
    if version >= 5 { writer.writeInt64(append.logStartOffset) }
    if version >= 8 {
      if let rejection = append.rejection {
        let name = topicName.string(in: frame.bytes)
        try write(
          rejection, append.faults, TopicPartition(topic: name, partition: partition), flexible,
          &writer)
      } else {
        try writer.writeArrayCount(0, compact: flexible, "recordErrors")
        if let message = append.trouble.message {
          try writer.writeString(message, compact: flexible, "errorMessage")
        } else {
          writer.writeNullString(compact: flexible)
        }
      }
    }
    if flexible { writer.writeUnsignedVarint(0) }
  }

  private func write(
    _ rejection: RecordBatchRejection, _ faults: [Int32], _ partition: TopicPartition,
    _ flexible: Bool, _ writer: inout WireWriter
  ) throws(WireError) {
    let message = rejection.message(for: partition)
    let indexes = faults.isEmpty ? rejection.recordIndex.map { [$0] } ?? [] : faults
    try writer.writeArrayCount(indexes.count, compact: flexible, "recordErrors")
    for index in indexes {
      writer.writeInt32(index)
      try writer.writeString(message, compact: flexible, "batchIndexErrorMessage")
      if flexible { writer.writeUnsignedVarint(0) }
    }
    try writer.writeString(message, compact: flexible, "errorMessage")
  }
}

extension StorageTrouble {
  /// What a producer is told, from version 8 on.
  fileprivate var message: String? {
    switch self {
    case .none: nil
    case .lowOnSpace:
      "The log directory is low on disk space: no records are taken until there is more."
    case .full: "The disk had no room for these records."
    case .offline: "The partition is offline: its log directory cannot be used."
    }
  }
}
