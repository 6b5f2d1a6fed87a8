// What a recovery did, for the log line.

public struct RecoveryReport: Equatable, Sendable, CustomStringConvertible {
  /// Bytes that were read and whose checksums were compared.
  public var checkedBytes: Int64 = 0
  /// What was cut off, in bytes, whole segments included.
  public var cutBytes: Int64 = 0
  /// Segments that were removed because they lay behind the cut.
  public var removedSegments = 0
  /// Closed segments whose indexes were made anew.
  public var indexedSegments = 0
  /// Where the log was cut, or would have been: its end.
  public var logEndOffset: Int64 = 0
  /// Why it was cut; nil when all was whole.
  public var defect: String?

  public var description: String {
    var text = "read \(checkedBytes) bytes, ends at offset \(logEndOffset)"
    if let defect { text += ", cut \(cutBytes) bytes: \(defect)" }
    if removedSegments > 0 { text += ", removed \(Self.segments(removedSegments, "later "))" }
    if indexedSegments > 0 {
      text += ", made the indexes of \(Self.segments(indexedSegments)) anew"
    }
    return text
  }

  private static func segments(_ count: Int, _ which: String = "") -> String {
    "\(count) \(which)segment\(count == 1 ? "" : "s")"
  }

  /// Whether it is worth telling of.
  public var isNews: Bool { defect != nil || indexedSegments > 0 }
}
