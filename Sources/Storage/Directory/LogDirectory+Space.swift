// The room in a log directory. Producers are refused before the disk is full, so that there is some
// left for what makes room again (checkpoints of deletions) and for consumer groups. If it
// gets full all the same, by somebody else's files, the ballast is let go for them, and for the
// metadata of topics, which another process writes:
//
//   .sluice-ballast     zeros, allocated while there is room; nobody reads it
//
// A start takes the ballast that is there, or makes one when there is enough room.

import Linux

extension LogDirectory {
  static func ballastPath(_ path: String) -> String { "\(path)/.sluice-ballast" }

  private var ballastPath: String { Self.ballastPath(path) }

  /// Asks for the room there is, and judges it.
  /// - Returns: whether `isLow` changed.
  public func checkSpace(_ limits: SpaceLimits) throws(StorageError) -> Bool {
    let now = try about("statvfs", path) { () throws(Errno) in try environment.device.space(path) }
    return judge(now, limits)
  }

  /// Judges the room that there is.
  func judge(_ now: FileSystemSpace, _ limits: SpaceLimits) -> Bool {
    space = now
    let before = isLow
    if now.availableBytes < limits.low(now) {
      isLow = true
    } else if now.availableBytes >= limits.enough(now) {
      isLow = false
    }
    if now.availableBytes < limits.exhausted(now) { _ = releaseBallast() }
    if !isLow { makeBallast(now, limits) }
    return isLow != before
  }

  /// The room there is at this moment; nil when nobody can tell.
  public var currentSpace: FileSystemSpace? {
    do throws(Errno) { return try environment.device.space(path) } catch { return nil }
  }

  /// A write found no room: producers are refused until `checkSpace` finds enough.
  /// - Returns: whether that is new.
  public func foundFull() -> Bool {
    defer { isLow = true }
    if isLow { return false }
    space = currentSpace ?? space
    return true
  }

  /// Lets the ballast go, for a write that must not be refused.
  /// - Returns: false when there is none: the disk is really full.
  public func releaseBallast() -> Bool {
    if !hasBallast { return false }
    hasBallast = false
    do throws(Errno) {
      try environment.device.remove(ballastPath)
      return true
    } catch { return false }
  }

  private func makeBallast(_ now: FileSystemSpace, _ limits: SpaceLimits) {
    let size = limits.ballast(now)
    if size <= 0, hasBallast { _ = releaseBallast() }
    if hasBallast || size <= 0 || now.availableBytes < limits.enough(now) + size { return }
    do throws(Errno) {
      let file = try environment.device.open(ballastPath, [.readWrite, .create, .truncate])
      try environment.device.allocate(file, count: size)
      hasBallast = true
    } catch {
      // A file system that cannot set room aside does without.
      do throws(Errno) { try environment.device.remove(ballastPath) } catch { return }
    }
  }
}
