// A frontend that is connected: its slab, and the answers that wait to be sent to it.

import IPC
import Service

final class FrontendPeer {
  let channel: LoopChannel<CodecToFrontend, FrontendToCodec, CodecProcess>
  let instance: UInt32
  var slab: SlabView?
  private var answers: [OpenedEntry] = []
  private var answerBytes = 0

  /// Answers go out before they would no longer fit one datagram, bytes.
  private static let gatheredMax = ChannelLimits.inlineMax - 4096

  init(
    _ channel: LoopChannel<CodecToFrontend, FrontendToCodec, CodecProcess>, instance: UInt32
  ) {
    self.channel = channel
    self.instance = instance
  }

  /// Adds an answer to those that are sent together.
  func answer(_ entry: OpenedEntry) {
    let bytes = 64 + 4 * entry.faults.count + (entry.records?.count ?? 0)
    if answerBytes + bytes > Self.gatheredMax { flush() }
    answers.append(entry)
    answerBytes += bytes
  }

  /// Sends what was gathered. A frontend that cannot be told any more is aborted: its end comes as
  /// an event.
  func flush() {
    if answers.isEmpty { return }
    do throws(ChannelError) { try channel.send(.opened(answers)) } catch { channel.abort() }
    answers.removeAll(keepingCapacity: true)
    answerBytes = 0
  }
}
