// Threads for calls that block, so that the loop does not: each makes one call at a time that the
// loop gave it, and tells the loop through an eventfd (eventfd(2)).
//
// Nothing is shared but one mailbox a thread: the loop fills an idle one and wakes its thread, the
// thread leaves the result there and wakes the loop. Who owns it is said by its state alone, which
// both change with release and read with acquire order. Calls beyond the number of threads wait in
// a queue that only the loop sees. Threads are started when they are first needed.

import CLinux
import Glibc

/// A call for a helper thread: what to do with which descriptor is the caller's to define.
public struct HelperCall: Sendable {
  /// Comes back with the result.
  public var token: UInt32
  /// Stays open until the result has been taken.
  public var descriptor: Int32
  public var operation: UInt32
  /// The part of the file that is meant, where the operation has one; bytes.
  public var offset: Int64
  public var count: Int

  public init(
    token: UInt32, descriptor: Int32, operation: UInt32, offset: Int64 = 0, count: Int = 0
  ) {
    self.token = token
    self.descriptor = descriptor
    self.operation = operation
    self.offset = offset
    self.count = count
  }
}

public final class HelperThreads {
  /// Readable when calls are done: take them with `takeDone`.
  public var descriptor: Int32 { done.descriptor.rawValue }
  /// Calls that are with a thread or wait for one.
  public private(set) var openCount = 0

  private let countMax: Int
  private let perform: @Sendable (HelperCall) -> Int32
  private let done: EventFD
  private var threads: [HelperThread] = []
  /// Numbers of idle threads.
  private var idle: [Int] = []
  /// Results of calls that were made in place.
  private var made: [(UInt32, Int32)] = []
  private var waiting: [HelperCall] = []
  private var waitingStart = 0

  /// - Parameters:
  ///   - countMax: how many threads there may be.
  ///   - perform: makes a call, on any of them; returns 0 or an errno value.
  public init(countMax: Int, perform: @escaping @Sendable (HelperCall) -> Int32) throws(Errno) {
    precondition(countMax > 0, "no thread")
    self.countMax = countMax
    self.perform = perform
    done = try EventFD()
  }

  /// Waits for the calls that are under way; those that no thread has begun are dropped.
  deinit { for thread in threads { thread.end() } }

  /// Gives a call to a thread, or to the next that is free. Where the system has no thread for us
  /// at all it is made in place.
  public func begin(_ call: HelperCall) {
    openCount += 1
    if let number = idle.popLast() {
      threads[number].begin(call)
    } else if threads.count < countMax, startThread() {
      threads[threads.count - 1].begin(call)
    } else if !threads.isEmpty {
      waiting.append(call)
    } else {
      made.append((call.token, perform(call)))
      done.signal()
    }
  }

  /// Takes results, and gives the threads what waits.
  public func takeDone(_ body: (UInt32, Int32) -> Void) {
    done.drain()
    while let (token, result) = made.popLast() {
      openCount -= 1
      body(token, result)
    }
    for number in threads.indices {
      guard let (token, result) = threads[number].takeResult() else { continue }
      openCount -= 1
      if waitingStart < waiting.count {
        threads[number].begin(waiting[waitingStart])
        waitingStart += 1
        if waitingStart == waiting.count {
          waiting.removeAll(keepingCapacity: true)
          waitingStart = 0
        }
      } else {
        idle.append(number)
      }
      body(token, result)
    }
  }

  /// - Returns: false when the system has no more threads for us.
  private func startThread() -> Bool {
    do throws(Errno) {
      threads.append(
        try HelperThread(doneDescriptor: done.descriptor.rawValue, perform: perform))
      return true
    } catch { return false }
  }
}

/// One thread and its mailbox.
private final class HelperThread {
  private enum State {
    static let idle: UInt32 = 0
    static let called: UInt32 = 1
    static let done: UInt32 = 2
    static let ending: UInt32 = 3
  }

  /// state, token, descriptor, operation, result: 4 bytes each; at 24 offset and count, 8 bytes each;
  /// on a cache line of their own.
  private struct Mailbox: @unchecked Sendable {
    let memory: UnsafeMutableRawPointer
    var state: UInt32 {
      get { clinux_load32(memory) }
      nonmutating set { clinux_store32(memory, newValue) }
    }
    var call: HelperCall {
      get {
        HelperCall(
          token: memory.load(fromByteOffset: 4, as: UInt32.self),
          descriptor: memory.load(fromByteOffset: 8, as: Int32.self),
          operation: memory.load(fromByteOffset: 12, as: UInt32.self),
          offset: memory.load(fromByteOffset: 24, as: Int64.self),
          count: memory.load(fromByteOffset: 32, as: Int.self))
      }
      nonmutating set {
        memory.storeBytes(of: newValue.token, toByteOffset: 4, as: UInt32.self)
        memory.storeBytes(of: newValue.descriptor, toByteOffset: 8, as: Int32.self)
        memory.storeBytes(of: newValue.operation, toByteOffset: 12, as: UInt32.self)
        memory.storeBytes(of: newValue.offset, toByteOffset: 24, as: Int64.self)
        memory.storeBytes(of: newValue.count, toByteOffset: 32, as: Int.self)
      }
    }
    var result: Int32 {
      get { memory.load(fromByteOffset: 16, as: Int32.self) }
      nonmutating set { memory.storeBytes(of: newValue, toByteOffset: 16, as: Int32.self) }
    }
  }

  /// What the thread works with.
  private final class Work: Sendable {
    let mailbox: Mailbox
    let wake: Int32
    let done: Int32
    let perform: @Sendable (HelperCall) -> Int32

    init(
      _ mailbox: Mailbox, wake: Int32, done: Int32,
      _ perform: @escaping @Sendable (HelperCall) -> Int32
    ) {
      self.mailbox = mailbox
      self.wake = wake
      self.done = done
      self.perform = perform
    }

    func run() {
      while true {
        var count: UInt64 = 0
        if read(wake, &count, 8) != 8 { continue }
        switch mailbox.state {
        case State.called: break
        case State.ending: return
        default: continue
        }
        mailbox.result = perform(mailbox.call)
        mailbox.state = State.done
        HelperThread.add(1, to: done)
      }
    }
  }

  private let mailbox: Mailbox
  private let wake: OwnedFD
  private var thread = pthread_t()

  /// Enough for a system call and its error.
  private static let stackBytes = 256 << 10

  init(doneDescriptor: Int32, perform: @escaping @Sendable (HelperCall) -> Int32) throws(Errno) {
    wake = OwnedFD(taking: try retrying("eventfd") { eventfd(0, Int32(EFD_CLOEXEC)) })
    let memory = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 64)
    memory.initializeMemory(as: UInt8.self, repeating: 0, count: 64)
    mailbox = Mailbox(memory: memory)
    let work = Unmanaged.passRetained(
      Work(mailbox, wake: wake.rawValue, done: doneDescriptor, perform))
    let code = Self.start(&thread, work.toOpaque())
    if code != 0 {
      work.release()
      memory.deallocate()
      throw Errno(code, "pthread_create")
    }
  }

  /// Every signal stays the loop's: the thread blocks all of them from its first instruction.
  private static func start(_ thread: inout pthread_t, _ work: UnsafeMutableRawPointer) -> Int32 {
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setstacksize(&attributes, stackBytes)
    var all = sigset_t()
    var before = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_SETMASK, &all, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    return pthread_create(
      &thread, &attributes,
      { argument in
        if let argument { Unmanaged<Work>.fromOpaque(argument).takeRetainedValue().run() }
        return nil
      }, work)
  }

  func begin(_ call: HelperCall) {
    precondition(mailbox.state == State.idle, "a call for a busy thread")
    mailbox.call = call
    mailbox.state = State.called
    Self.add(1, to: wake.rawValue)
  }

  func takeResult() -> (token: UInt32, result: Int32)? {
    guard mailbox.state == State.done else { return nil }
    let answer = (mailbox.call.token, mailbox.result)
    mailbox.state = State.idle
    return answer
  }

  func end() {
    // A call under way ends first: its result is dropped, and then the thread reads the state again.
    while mailbox.state == State.called { usleep(100) }
    mailbox.state = State.ending
    Self.add(1, to: wake.rawValue)
    pthread_join(thread, nil)
    mailbox.memory.deallocate()
  }

  /// eventfd(2): blocks only if the counter would pass 2^64.
  private static func add(_ count: UInt64, to descriptor: Int32) {
    var count = count
    while write(descriptor, &count, 8) != 8 {
      precondition(errno == EINTR, "eventfd: errno \(errno)")
    }
  }
}
