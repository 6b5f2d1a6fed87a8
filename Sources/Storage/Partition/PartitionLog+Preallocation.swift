// `preallocate`: room on the disk for a whole segment, set aside when it begins, so that its appends
// find room and its blocks lie together. The room is that of fallocate(2) with FALLOC_FL_KEEP_SIZE:
// the file is never longer than what was written. Kafka makes the file as long as the segment may
// become (setLength, which sets nothing aside on most file systems) and has a tail of zeros until it is
// closed.
//
// What is left over goes back when the segment is closed, by a roll or a clean stop. After a crash the
// next start finds it by the blocks a file has beyond its size. A file system that cannot set room
// aside does without.
//
// Setting aside is done in the loop: ext4 takes 1 to 8 ms for a GiB, of which no data is written. Giving
// back takes it up to 60 ms: a roll leaves it to another thread.

import Glibc
import Linux
import Model

/// What to do when a new segment is to have room set aside, and there is none.
enum RoomForSegment {
  /// A producer's records are refused as on a full disk; those of other partitions are not.
  case required
  /// The segment grows as it is written: for what must go on when the disk is full.
  case ifThereIsSome
}

extension PartitionLog {
  /// Sets room aside for a segment whose empty .log is `file`, if the topic wants that. On an error
  /// the file is gone: the log goes on in the segment before it.
  func setRoomAside(_ file: borrowing OwnedFD, _ path: String, _ room: RoomForSegment)
    throws(StorageError)
  {
    guard settings.config.preallocate else { return }
    let count = Int64(settings.config.segmentBytes)
    do throws(Errno) {
      try device.setAside(file, count: count)
      isRoomSetAside = true
      environment.bytesSetAside += UInt64(count)
    } catch {
      if error.isUnsupported || (error.isOutOfSpace && room == .ifThereIsSome) { return }
      try about("remove", path) { () throws(Errno) in try device.remove(path) }
      throw StorageError(
        "create", path,
        error.isOutOfSpace ? .noRoomToSetAside(bytes: count) : .system(error))
    }
  }

  /// The same for a segment that is rolled away.
  func giveBackRoomBesideTheLoop(_ segment: ActiveSegment) throws(StorageError) {
    guard isRoomSetAside, let closer = environment.closer else { return try giveBackRoom() }
    closer.giveBackRoom(
      try about("give room back of", path(.log, segment.baseOffset)) { () throws(Errno) in
        try segment.file.duplicate()
      })
    isRoomSetAside = false
  }

  /// Gives back what the active segment did not need of its room.
  func giveBackRoom() throws(StorageError) {
    guard isRoomSetAside else { return }
    let path = path(.log, activeSegment.baseOffset)
    try about("give room back of", path) { () throws(Errno) in
      if let active {
        try File.giveBack(active.file)
      } else {
        try File.giveBack(try device.open(path, .readWrite))
      }
    }
    isRoomSetAside = false
  }
}

extension LogDirectory {
  /// Gives back what a crash has left set aside for a file.
  func giveBackRoom(_ path: String, _ status: FileStatus) throws(StorageError) {
    // Less may be what the file system itself needs for the file.
    guard status.allocatedBytes - status.size > 64 << 10 else { return }
    try about("give room back of", path) { () throws(Errno) in
      try File.giveBack(try environment.device.open(path, .readWrite))
    }
  }
}
