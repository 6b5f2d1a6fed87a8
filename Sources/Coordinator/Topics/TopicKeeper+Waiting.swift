// Who wants to create topics before anybody has told us which are on disk: only at the first start with
// a new metadata store.

import Service

extension TopicKeeper {
  /// Calls `then` when the topics on disk are known, with true, or after `timeoutMs` with false.
  func awaitDisk(timeoutMs: Int64, then: @escaping (Bool) -> Void) {
    lastWait += 1
    let number = lastWait
    let timer = timers.after(timeoutMs) { [unowned self] in
      waitsForDisk.removeValue(forKey: number)?.then(false)
    }
    waitsForDisk[number] = (timer, then)
  }
}
