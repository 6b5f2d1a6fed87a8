// Everything that is being made durable: which descriptors are with the executor, who waits for
// them, and what keeps them open until then. One for each process; touched by the loop only.
//
// The entries are used again, so that a sync of an open segment allocates nothing.

import Glibc
import Linux

/// Makes syncs, beside the loop or in it.
public protocol SyncExecutor: AnyObject {
  /// Begins fdatasync(2) if `dataOnly`, else fsync(2). The descriptor stays open until `takeDone` has
  /// given the token back.
  func begin(_ token: UInt32, descriptor: Int32, dataOnly: Bool)
  /// Hands over what is done: its token and 0 or an errno value.
  func takeDone(_ body: (UInt32, Int32) -> Void)
  /// Waits until `takeDone` has something to hand over, if a sync is under way.
  func wait()
  /// Makes no call any more from when it returns: descriptors may be closed.
  func end()
}

/// Who is told when a sync that it asked for is done.
protocol SyncOwner: AnyObject {
  /// - Parameter error: what the kernel said; nil when the file is on disk.
  func synced(_ error: Errno?)
}

/// An open file that is about to be synced.
final class SyncedFile {
  let path: String
  let descriptor: OwnedFD
  init(_ path: String, _ descriptor: consuming OwnedFD) {
    self.path = path
    self.descriptor = descriptor
  }
}

final class SyncQueue {
  private struct Entry {
    var owner: (any SyncOwner)?
    /// What has the descriptor.
    var keeping: AnyObject?
    var dataOnly = true
  }

  fileprivate let executor: any SyncExecutor
  private var entries: [Entry] = []
  private var free: [UInt32] = []
  /// Syncs begun since the start.
  private(set) var count: UInt64 = 0

  init(_ executor: any SyncExecutor) { self.executor = executor }

  deinit { executor.end() }

  /// Syncs that are not done yet.
  var openCount: Int { entries.count - free.count }

  /// Begins to sync a descriptor that `keeping` has open.
  func begin(_ descriptor: Int32, keeping: AnyObject, dataOnly: Bool, for owner: any SyncOwner) {
    let token: UInt32
    if let unused = free.popLast() {
      token = unused
      entries[Int(token)] = Entry(owner: owner, keeping: keeping, dataOnly: dataOnly)
    } else {
      token = UInt32(entries.count)
      entries.append(Entry(owner: owner, keeping: keeping, dataOnly: dataOnly))
    }
    count += 1
    executor.begin(token, descriptor: descriptor, dataOnly: dataOnly)
  }

  /// Tells the owners of what is done by now.
  func finish() {
    executor.takeDone { token, code in
      let entry = entries[Int(token)]
      entries[Int(token)] = Entry()
      free.append(token)
      entry.owner?.synced(
        code == 0 ? nil : Errno(code, entry.dataOnly ? "fdatasync" : "fsync"))
    }
  }
}

extension SyncQueue {
  /// Waits for everything that is under way, and what follows from it.
  func drain() {
    while openCount > 0 {
      executor.wait()
      finish()
    }
  }
}

/// Syncs on the spot: for programs without a loop, and for tests.
final class InlineSyncExecutor: SyncExecutor {
  private let device: LogDevice
  private var done: [(UInt32, Int32)] = []

  init(_ device: LogDevice) { self.device = device }

  func begin(_ token: UInt32, descriptor: Int32, dataOnly: Bool) {
    do throws(Errno) {
      try device.sync(descriptor: descriptor, dataOnly: dataOnly)
      done.append((token, 0))
    } catch { done.append((token, error.code)) }
  }

  func takeDone(_ body: (UInt32, Int32) -> Void) {
    while !done.isEmpty {
      let (token, code) = done.removeFirst()
      body(token, code)
    }
  }

  func wait() {}
  func end() {}
}

/// Syncs on helper threads, several files at a time.
public final class ThreadedSyncExecutor: SyncExecutor {
  private var threads: HelperThreads?
  private static let dataOnly: UInt32 = 1

  /// The device as other threads see it: they call `sync` only.
  private struct Shared: @unchecked Sendable { let device: LogDevice }

  /// - Parameter filesMax: how many files are synced at once.
  public init(_ device: LogDevice, filesMax: Int) throws(Errno) {
    let shared = Shared(device: device)
    threads = try HelperThreads(countMax: filesMax) { call in
      do throws(Errno) {
        try shared.device.sync(
          descriptor: call.descriptor, dataOnly: call.operation == Self.dataOnly)
        return 0
      } catch { return error.code }
    }
  }

  public func begin(_ token: UInt32, descriptor: Int32, dataOnly: Bool) {
    threads?.begin(
      HelperCall(token: token, descriptor: descriptor, operation: dataOnly ? Self.dataOnly : 0))
  }

  public func takeDone(_ body: (UInt32, Int32) -> Void) {
    threads?.takeDone(body)
  }

  public func wait() {
    if let threads { _ = Poll.waitAny([threads.descriptor], .readable, timeoutMs: -1) }
  }

  /// Waits for the syncs under way.
  public func end() { threads = nil }

  /// Readable when a sync is done; -1 after the end.
  public var descriptor: Int32 { threads?.descriptor ?? -1 }
}
