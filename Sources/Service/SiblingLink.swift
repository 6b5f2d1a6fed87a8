// The connecting side of an edge: a link to a named socket that comes back by itself. A sibling that
// restarts is a short wait, because its socket outlives it; only the socket's absence is retried.

import CLinux
import Glibc
import IPC
import Linux

public final class SiblingLink<Out: Message, In: Message, Handler: EventHandler> {
  private let path: String
  private let edge: Edge
  private let instance: UInt32
  private let loop: EventLoop<Handler>
  private let source: Handler.Source
  private let retrySource: Handler.Source
  private var channel: LoopChannel<Out, In, Handler>?
  private var retryMs: Int64 = 0
  private var retryTimer: TimerID?

  private static var retryMsMax: Int64 { 1000 }

  /// - Parameters:
  ///   - source: delivered to `ready` when the link has something; pass it to `ready(_:_:)`.
  ///   - retrySource: delivered to `expired` when it is time to call `open()` again.
  public init(
    path: String, edge: Edge, instance: UInt32, loop: EventLoop<Handler>, source: Handler.Source,
    retrySource: Handler.Source
  ) {
    self.path = path
    self.edge = edge
    self.instance = instance
    self.loop = loop
    self.source = source
    self.retrySource = retrySource
  }

  public var isOpen: Bool { channel != nil }

  /// Connects and greets. When that fails now, the loop delivers `retrySource` after a pause that
  /// doubles from 10 ms to 1 s.
  /// - Returns: why it failed, or nil when the link is open: say what the edge wants said first.
  public func open() -> Errno? {
    precondition(channel == nil, "the link is open")
    retryTimer = nil
    do throws(Errno) {
      let socket = try Greeting.connect(path: path, edge: edge, instance: instance)
      // A listening socket has the credentials of who made it: systemd, or our own `sluice up`.
      let owner = try UnixSocket.peerCredentials(socket)
      guard PeerPolicy().allows(user: owner.uid, as: edge.to) else {
        throw Errno(EACCES, "SO_PEERCRED: a socket of user \(owner.uid)", path)
      }
      channel = try LoopChannel(socket, loop: loop, source: source)
      retryMs = 0
      return nil
    } catch {
      scheduleRetry()
      return error
    }
  }

  /// Sends a message; false when the link is or has just been lost. The loss itself comes out of
  /// `ready`, never of this call, so that callers need not expect to be re-entered.
  @discardableResult
  public func send(_ message: Out, descriptors: [Int32] = []) -> Bool {
    guard let channel else { return false }
    do {
      try channel.send(message, descriptors: descriptors)
      return true
    } catch {
      channel.abort()
      return false
    }
  }

  /// Handles an event. After an error the link is closed and will be retried: forget what was asked
  /// over it.
  public func ready(
    _ readiness: Readiness, _ handle: (In, inout DescriptorList) throws(MessageError) -> Void
  ) throws(ChannelError) {
    guard let channel else { return }
    do { try channel.ready(readiness, handle) } catch { throw lost(error) }
  }

  /// Handles what has arrived by now.
  public func drain(_ handle: (In, inout DescriptorList) throws(MessageError) -> Void)
    throws(ChannelError)
  {
    guard let channel else { return }
    do { try channel.drain(handle) } catch { throw lost(error) }
  }

  /// Closes for good.
  public func close() {
    channel?.close()
    channel = nil
    if let retryTimer { loop.cancel(retryTimer) }
    retryTimer = nil
  }

  private func lost(_ error: ReceiveError<MessageError>) -> ChannelError {
    channel?.close()
    channel = nil
    scheduleRetry()
    switch error {
    case .channel(let error): return error
    case .handler(let error): return .violation(error)
    }
  }

  private func scheduleRetry() {
    if retryTimer != nil { return }
    retryMs = min(Self.retryMsMax, max(10, retryMs * 2))
    retryTimer = loop.schedule(afterMs: retryMs, retrySource)
  }
}
