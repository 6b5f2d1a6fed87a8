// How many logs are read at the same time. Every reading holds a descriptor, here and while it is on
// its way; a request may ask for a hundred thousand partitions.

final class ReadQueue {
  private var waiting: [(@escaping () -> Void) -> Void] = []
  /// Where the next one is in `waiting`.
  private var next = 0
  private var running = 0
  /// Work that is done at once must not start the next one from within itself: without a logwriter
  /// that would be as deep as the queue is long.
  private var isStarting = false

  private static let runningMax = 32

  /// Calls `work` when its turn has come; `work` calls what it is given when it is done.
  func add(_ work: @escaping (_ done: @escaping () -> Void) -> Void) {
    waiting.append(work)
    startNext()
  }

  private func startNext() {
    if isStarting { return }
    isStarting = true
    defer { isStarting = false }
    while running < Self.runningMax, next < waiting.count {
      let work = waiting[next]
      next += 1
      if next == waiting.count {
        waiting.removeAll()
        next = 0
      }
      running += 1
      work { [self] in
        running -= 1
        startNext()
      }
    }
  }
}
