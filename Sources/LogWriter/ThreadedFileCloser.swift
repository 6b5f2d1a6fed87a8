// Closes removed files on a thread of its own: the kernel frees the blocks of a large file when its
// last descriptor is closed, and takes tens of ms for a GiB.

import Glibc
import Linux
import Storage

final class ThreadedFileCloser: FileCloser {
  private let threads: HelperThreads

  init() throws(Errno) {
    threads = try HelperThreads(countMax: 1) { call in
      Glibc.close(call.descriptor) == 0 ? 0 : errno
    }
  }

  /// Readable when files have been closed: call `finish`.
  var descriptor: Int32 { threads.descriptor }

  func close(_ file: consuming OwnedFD) {
    threads.begin(HelperCall(token: 0, descriptor: file.release(), operation: 0))
  }

  /// Gives the thread what waits. Whether a close succeeded makes no difference to anyone.
  func finish() { threads.takeDone { _, _ in } }
}
