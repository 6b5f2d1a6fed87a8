// The batches of a .log file, and on request their records. Without records a batch is never held
// as a whole: its checksum is computed piece by piece.

import Compression
import Model
import Records

/// What records are shown as.
enum RecordContents {
  case bytes
  case groupOffsets
  case transactions
}

struct SegmentDump {
  private let file: DumpFile
  private let printer: DumpPrinter
  private let contents: RecordContents?
  private var batches = 0
  private var records: Int64 = 0
  private var firstOffset: Int64?
  private var nextOffset: Int64

  /// Bytes of decompressed records of one batch at most.
  private static let decompressedBytesMax = 1 << 30

  /// - Parameter contents: nil shows batches only.
  init(_ file: DumpFile, _ printer: DumpPrinter, contents: RecordContents?) {
    self.file = file
    self.printer = printer
    self.contents = contents
    nextOffset = file.baseOffset ?? 0
  }

  mutating func run() throws(DumpFailure) {
    let walk = BatchWalk(file: file)
    var position: Int64 = 0
    while position < file.size {
      let header: RecordBatchHeader
      switch try walk.header(at: position) {
      case .success(let found): header = found
      case .failure(let defect):
        printer.defect(at: position, defect.reason)
        return summarize(position)
      }
      let isValid = try walk.checksum(header, at: position) == header.crc
      printer.item("batch", Self.fields(header, position: position, isValid: isValid))
      if !isValid {
        printer.defect(
          at: position, "the checksum of the batch at offset \(header.baseOffset) is wrong")
      }
      if header.baseOffset < nextOffset {
        printer.defect(
          at: position,
          "the batch begins with offset \(header.baseOffset), before offset \(nextOffset)")
      }
      if contents != nil { try showRecords(header, at: position) }
      batches += 1
      records += Int64(header.recordCount)
      firstOffset = firstOffset ?? header.baseOffset
      nextOffset = header.nextOffset
      position += Int64(header.sizeInBytes)
      printer.progress(position, of: file.size)
    }
    summarize(position)
  }

  private func summarize(_ position: Int64) {
    let range = firstOffset.map { ", offsets \($0) to \(nextOffset - 1)" } ?? ""
    printer.summary("\(batches) batches, \(records) records\(range), \(position) bytes")
  }

  static func fields(_ header: RecordBatchHeader, position: Int64, isValid: Bool) -> Fields {
    var fields = Fields()
    fields.add("baseOffset", header.baseOffset)
    fields.add("lastOffset", header.lastOffset)
    fields.add("count", header.recordCount)
    fields.add("position", position)
    fields.add("size", header.sizeInBytes)
    fields.add("magic", header.magic)
    fields.add("compression", header.compression?.name ?? "\(header.attributes.rawValue & 7)")
    fields.add("crc", header.crc)
    fields.add("isValid", isValid)
    fields.add("timestampType", header.timestampType.name)
    fields.add("baseTimestamp", header.baseTimestamp)
    fields.add("maxTimestamp", header.maxTimestamp)
    fields.add("partitionLeaderEpoch", header.partitionLeaderEpoch)
    func producer(_ value: some BinaryInteger) -> FieldValue {
      header.hasProducerId ? .number(Int64(value)) : .null
    }
    fields.add("producerId", producer(header.producerId))
    fields.add("producerEpoch", producer(header.producerEpoch))
    fields.add("baseSequence", producer(header.baseSequence))
    fields.add("lastSequence", producer(header.lastSequence))
    fields.add("isTransactional", header.isTransactional)
    fields.add("isControl", header.isControlBatch)
    fields.add("deleteHorizonMs", header.deleteHorizonMs.map { .number($0) } ?? .null)
    return fields
  }

  // MARK: Records

  private func showRecords(_ header: RecordBatchHeader, at position: Int64) throws(DumpFailure) {
    let outcome = try file.read(header.sizeInBytes, at: position) {
      (batch) throws(BatchRecordsError) in
      try BatchRecords.forEach(header, batch, limit: Self.decompressedBytesMax) {
        show($0, of: header)
      }
    }
    if case .failure(let error) = outcome {
      printer.defect(
        at: position, "the records of the batch at offset \(header.baseOffset): \(error)")
    }
  }

  private func show(_ view: RecordView, of header: RecordBatchHeader) {
    var fields = Fields()
    fields.add("offset", header.offset(of: view))
    fields.add("timestamp", header.timestamp(of: view))
    if header.baseSequence >= 0 {
      fields.add(
        "sequence",
        RecordBatchHeader.sequence(header.baseSequence, advancedBy: max(0, view.offsetDelta)))
    }
    let record = Record(view, of: header)
    if header.isControlBatch {
      Self.addControl(view, to: &fields)
    } else if let internalFields = internalFields(record) {
      fields.add("key", internalFields.key)
      fields.add("value", internalFields.value)
    } else {
      fields.add("key", record.key)
      fields.add("value", record.value)
    }
    if !record.headers.isEmpty {
      fields.add(
        "headers",
        .list(
          record.headers.map { header in
            var pair = Fields()
            pair.add("key", header.key)
            pair.add("value", header.value)
            return .fields(pair)
          }))
    }
    printer.item("record", fields, indent: 2)
  }

  private func internalFields(_ record: Record) -> (key: FieldValue, value: FieldValue)? {
    switch contents {
    case .groupOffsets: InternalRecord.fields(record, ofGroups: true)
    case .transactions: InternalRecord.fields(record, ofGroups: false)
    case .bytes, nil: nil
    }
  }

  private static func addControl(_ view: RecordView, to fields: inout Fields) {
    do throws(RecordFormatError) {
      if let marker = try EndTransactionMarker(view) {
        fields.add("control", marker.isCommit ? "COMMIT" : "ABORT")
        fields.add("coordinatorEpoch", marker.coordinatorEpoch)
      } else if case .other(let type) = try ControlRecordType(key: view.key) {
        fields.add("control", "type \(type)")
      }
    } catch { fields.add("control", "unreadable: \(error)") }
  }
}
