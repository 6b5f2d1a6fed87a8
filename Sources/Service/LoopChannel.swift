// A channel that lives in a loop: it is watched for reading always, for writing only while messages
// are queued. Closing it is the owner's decision; errors come out of the calls.

import IPC
import Linux

public final class LoopChannel<Out: Message, In: Message, Handler: EventHandler> {
  private let channel: Channel<Out, In>
  private let loop: EventLoop<Handler>
  private var watch: Watch?
  private var watchesWriting = false

  /// Takes a connected socket over and delivers its events as `source`.
  public init(
    _ socket: consuming OwnedFD, loop: EventLoop<Handler>, source: Handler.Source
  ) throws(Errno) {
    channel = Channel(socket)
    self.loop = loop
    watch = try loop.watch(channel.descriptor, .readable, source)
  }

  /// Sends or queues a message. After an error the channel is of no use: close it.
  public func send(_ message: Out, descriptors: [Int32] = []) throws(ChannelError) {
    try channel.send(message, descriptors: descriptors)
    try adjust()
  }

  /// Handles an event of this channel: sends what is queued, hands what arrived to `handle`.
  public func ready<E: Error>(
    _ readiness: Readiness, _ handle: (In, inout DescriptorList) throws(E) -> Void
  ) throws(ReceiveError<E>) {
    if readiness.contains(.writable) {
      do throws(ChannelError) {
        try channel.flush()
        try adjust()
      } catch {
        // What a peer said before it went away is still there to be read.
        guard case .closed = error else { throw .channel(error) }
        try drain(handle)
        throw .channel(error)
      }
    }
    if !readiness.isDisjoint(with: [.readable, .hangUp, .error]) { try channel.receive(handle) }
  }

  /// Handles what has arrived by now, without waiting for the loop to say so.
  public func drain<E: Error>(
    _ handle: (In, inout DescriptorList) throws(E) -> Void
  ) throws(ReceiveError<E>) {
    while try channel.receive(handle) {}
  }

  /// Ends the connection; the loop reports it as an event of this channel.
  public func abort() { channel.abort() }

  /// Stops watching. The socket closes with the last reference.
  public func close() {
    guard let watch else { return }
    self.watch = nil
    do { try loop.unwatch(watch) } catch { preconditionFailure("unwatch: \(error)") }
  }

  private func adjust() throws(ChannelError) {
    guard let watch, channel.hasQueued != watchesWriting else { return }
    watchesWriting.toggle()
    do { try loop.change(watch, watchesWriting ? [.readable, .writable] : .readable) } catch {
      throw .system(error)
    }
  }
}
