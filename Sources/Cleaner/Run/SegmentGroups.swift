// Which segments become one (Kafka's Cleaner.groupSegmentsBySize): neighbours, as long as together
// they have at most `segment.bytes` of log, `segment.index.bytes` of each index, and offsets that
// an index can tell.

import IPC

enum SegmentGroups {
  /// - Parameters:
  ///   - segments: those to clean, ascending, with base offsets below `endOffset`.
  ///   - endOffset: base offset of the segment behind the last one.
  static func group(
    _ segments: [SegmentToClean], segmentBytes: Int64, indexBytes: Int64, endOffset: Int64
  ) -> [ArraySlice<SegmentToClean>] {
    var groups: [ArraySlice<SegmentToClean>] = []
    var start = 0
    while start < segments.count {
      var (size, index, timeIndex) = (
        segments[start].size, segments[start].indexSize, segments[start].timeIndexSize
      )
      var end = start + 1
      while end < segments.count {
        let next = segments[end]
        let lastOffset = (end + 1 < segments.count ? segments[end + 1].baseOffset : endOffset) - 1
        guard size + next.size <= segmentBytes, index + next.indexSize <= indexBytes,
          timeIndex + next.timeIndexSize <= indexBytes,
          next.size == 0 || lastOffset - segments[start].baseOffset <= Int64(Int32.max)
        else { break }
        size += next.size
        index += next.indexSize
        timeIndex += next.timeIndexSize
        end += 1
      }
      groups.append(segments[start..<end])
      start = end
    }
    return groups
  }
}
