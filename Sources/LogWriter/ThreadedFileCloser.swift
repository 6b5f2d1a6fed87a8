// Frees blocks on a thread of its own, for which the kernel takes tens of ms a GiB: of removed files
// when their last descriptor is closed, and of segments that did not need all the room set aside.

import Glibc
import Linux
import Storage

final class ThreadedFileCloser: FileCloser {
  private let threads: HelperThreads
  private static let closing: UInt32 = 0
  private static let givingBack: UInt32 = 1

  init() throws(Errno) {
    threads = try HelperThreads(countMax: 1) { call in
      var failure: Int32 = 0
      if call.operation == Self.givingBack {
        do throws(Errno) { try File.giveBack(descriptor: call.descriptor) } catch {
          failure = error.code
        }
      }
      return Glibc.close(call.descriptor) == 0 ? failure : errno
    }
  }

  /// Readable when files have been closed: call `finish`.
  var descriptor: Int32 { threads.descriptor }

  func close(_ file: consuming OwnedFD) {
    threads.begin(HelperCall(token: 0, descriptor: file.release(), operation: Self.closing))
  }

  func giveBackRoom(_ file: consuming OwnedFD) {
    threads.begin(HelperCall(token: 0, descriptor: file.release(), operation: Self.givingBack))
  }

  /// Gives the thread what waits. Whether it succeeded makes no difference to anyone: room that stays
  /// set aside goes with its file, or at the start after a crash.
  func finish() { threads.takeDone { _, _ in } }
}
