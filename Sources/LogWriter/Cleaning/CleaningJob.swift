// An order that a cleaner has, and the file it is writing.

import IPC
import Linux
import Storage

final class CleaningJob {
  let order: CleaningOrder
  let slot: UInt32
  let generation: UInt32
  let log: PartitionLog
  /// The cleaner that has the order; nil once it is gone.
  var cleaner: Int?
  /// What it writes now: the base offset, and the file.
  private(set) var outputOffset: Int64 = -1
  private var output: FileBox?
  /// The file that is being put in place, and what the thread still has to do for its next step.
  var replacement: SegmentReplacement?
  var waiting: Set<UInt32> = []
  var syncFailure: Int32 = 0

  private final class FileBox {
    let file: OwnedFD
    init(_ file: consuming OwnedFD) { self.file = file }
  }

  init(
    _ order: CleaningOrder, slot: UInt32, generation: UInt32, log: PartitionLog, cleaner: Int
  ) {
    self.order = order
    self.slot = slot
    self.generation = generation
    self.log = log
    self.cleaner = cleaner
  }

  /// Opens a new file; the one before is gone with its name, which it never had.
  /// - Returns: a number for sending.
  func openOutput(_ baseOffset: Int64) throws(StorageError) -> Int32 {
    let box = FileBox(try log.openUnnamed())
    output = box
    outputOffset = baseOffset
    return box.file.rawValue
  }

  /// Takes the file away, to be put in place.
  func takeOutput() throws(Errno) -> OwnedFD? {
    guard let box = output else { return nil }
    output = nil
    outputOffset = -1
    return try box.file.duplicate()
  }

  func has(_ segment: Int64) -> Bool { order.segments.contains { $0.baseOffset == segment } }
}
