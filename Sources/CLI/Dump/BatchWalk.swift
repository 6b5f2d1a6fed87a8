// The batches of a .log file one after the other, for those who show them and those who check them:
// is there a whole one, and is its checksum right. No batch is held as a whole.

import Records

/// Why there is no batch at a place.
struct BatchDefect: Error {
  let reason: String
}

struct BatchWalk {
  let file: DumpFile

  /// The header of a batch that is wholly there; otherwise what is wrong.
  func header(at position: Int64) throws(DumpFailure) -> Result<RecordBatchHeader, BatchDefect> {
    let left = file.size - position
    func defect(_ reason: String) -> Result<RecordBatchHeader, BatchDefect> {
      .failure(BatchDefect(reason: reason))
    }
    let (header, magic, isZero) = try file.read(RecordBatchHeader.size, at: position) { bytes in
      (RecordBatchHeader(bytes), bytes.count > 16 ? bytes[16] : 0, bytes.allSatisfy { $0 == 0 })
    }.get()
    guard let header else {
      return defect("\(left) bytes are too few for the header of a batch")
    }
    if isZero { return defect("zeros instead of a batch; \(left) bytes are left") }
    if magic < 2 { return defect("a message of format \(magic), from before Kafka 0.11") }
    guard header.isPlausible else { return defect("no batch; \(left) bytes are left") }
    guard Int64(header.sizeInBytes) <= left else {
      return defect(
        "the batch at offset \(header.baseOffset) has \(header.sizeInBytes) bytes, "
          + "but \(left) are left")
    }
    return .success(header)
  }

  /// The checksum that the batch's bytes have.
  func checksum(_ header: RecordBatchHeader, at position: Int64) throws(DumpFailure) -> UInt32 {
    var from = position + Int64(RecordBatchHeader.Field.attributes)
    let end = position + Int64(header.sizeInBytes)
    var crc: UInt32 = 0
    while from < end {
      let wanted = Int(min(end - from, Int64(DumpFile.window)))
      crc = try file.read(wanted, at: from) { CRC32C.checksum($0, continuing: crc) }.get()
      from += Int64(wanted)
    }
    return crc
  }

  /// The next whole batch from `position` on whose checksum is right and whose offsets lie in a range.
  func find(from position: Int64, offsets: Range<Int64>) throws(DumpFailure)
    -> (position: Int64, header: RecordBatchHeader)?
  {
    var position = position
    while position + Int64(RecordBatchHeader.size) <= file.size {
      // Of each byte where a batch may begin only its format is looked at first.
      let skipped = try file.read(Self.searched, at: position) { bytes -> Int? in
        let last = bytes.count - RecordBatchHeader.size
        var at = 0
        while at <= last {
          if bytes[at + RecordBatchHeader.Field.magic] == 2,
            offsets.contains(bytes.bigEndian(at: at) as Int64)
          {
            return at
          }
          at += 1
        }
        return nil
      }.get()
      guard let skipped else {
        position += Int64(Self.searched - RecordBatchHeader.size + 1)
        continue
      }
      position += Int64(skipped)
      if case .success(let header) = try header(at: position),
        offsets.contains(header.lastOffset), try checksum(header, at: position) == header.crc
      {
        return (position, header)
      }
      position += 1
    }
    return nil
  }

  private static let searched = 64 << 10

  /// The end of a transaction that a batch is, or nil.
  func marker(
    _ header: RecordBatchHeader, at position: Int64, _ defect: (String) -> Void
  ) throws(DumpFailure) -> EndTransactionMarker? {
    guard header.isControlBatch else { return nil }
    var marker: EndTransactionMarker?
    var reason: String?
    let outcome = try file.read(header.sizeInBytes, at: position) {
      (batch) throws(BatchRecordsError) in
      try BatchRecords.forEach(header, batch, limit: Self.markerBytesMax) { record in
        do throws(RecordFormatError) { marker = try EndTransactionMarker(record) } catch {
          reason = "the control record cannot be read: \(error)"
        }
      }
    }
    if case .failure(let error) = outcome { reason = "the control record cannot be read: \(error)" }
    if let reason { defect(reason) }
    return marker
  }

  /// Control batches are small; one of a Raft log may hold some voters.
  private static let markerBytesMax = 1 << 20
}
