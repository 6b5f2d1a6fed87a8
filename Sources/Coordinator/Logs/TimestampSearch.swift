// The first record at or after a time. The logwriter's time index names a segment and a position
// before it; from there batches are skipped by their greatest timestamp, and the records of the
// first one that can hold it are looked at.

import IPC
import Logging
import Model
import Records
import Service

struct TimestampedOffset: Equatable {
  var offset: Int64
  var timestampMs: Int64
}

enum TimestampAnswer: Equatable {
  /// nil: every record is older.
  case found(TimestampedOffset?)
  case failed(ErrorCode)
}

/// How a search goes on; a class because the reader's closures share it.
private final class SearchState {
  var found: TimestampedOffset?
}

enum TimestampSearch {
  /// - Parameters:
  ///   - start: the log start offset; records below it do not count.
  ///   - end: the offset after the last one that the client may see.
  static func find(
    _ timestampMs: Int64, _ ref: SlotRef, from start: Int64, to end: Int64, _ broker: Broker,
    then: @escaping (TimestampAnswer) -> Void
  ) {
    if start >= end { return then(.found(nil)) }
    broker.logs.lookUpTimestamp(ref, timestampMs: timestampMs) { [unowned broker] answer in
      switch answer {
      case .lost: then(.failed(.leaderNotAvailable))
      // There is no such record.
      case .refused(.offsetOutOfRange): then(.found(nil))
      case .refused(let error): then(.failed(error))
      case .segment(let segment):
        search(timestampMs, ref, start, end, segment, broker, then)
      }
    }
  }

  private static func search(
    _ timestampMs: Int64, _ ref: SlotRef, _ start: Int64, _ end: Int64, _ segment: SegmentFile,
    _ broker: Broker, _ then: @escaping (TimestampAnswer) -> Void
  ) {
    let state = SearchState()
    let reader = PartitionReader(
      broker.logs, timers: broker.timers, ref,
      from: max(start, segment.description.baseOffset), to: end,
      onBatch: { header, batch throws(PartitionReadError) in
        guard header.maxTimestamp >= timestampMs, !header.isControlBatch else { return .goOn }
        if header.isLogAppendTime {
          let offset = max(start, header.baseOffset)
          state.found = TimestampedOffset(offset: offset, timestampMs: header.maxTimestamp)
          return .stop
        }
        try BatchRecords.forEach(header, batch) { record in
          let offset = header.offset(of: record)
          let recordMs = header.timestamp(of: record)
          guard recordMs >= timestampMs, offset >= start, offset < end else { return .goOn }
          state.found = TimestampedOffset(offset: offset, timestampMs: recordMs)
          return .stop
        }
        return state.found == nil ? .goOn : .stop
      },
      whenDone: { [unowned broker] error in
        switch error {
        case nil: then(.found(state.found))
        case .lost: then(.failed(.leaderNotAvailable))
        case .refused(let error): then(.failed(error))
        case .system, .corrupt:
          broker.log.event(
            .partitionUnreadable, "a search by timestamp failed: \(error.map { "\($0)" } ?? "")")
          then(.failed(.kafkaStorageError))
        }
      })
    reader.start(in: segment)
  }
}
