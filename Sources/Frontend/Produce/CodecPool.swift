// The codecs that there are: one link for every `codec-<N>.sock` in the runtime directory. Links are
// opened when there is something to open, because the first connection is what starts a codec.

import IPC
import Linux
import Service

typealias CodecLink = SiblingLink<FrontendToCodec, CodecToFrontend, Frontend>

/// One codec.
final class Codec {
  let instance: UInt32
  let link: CodecLink
  /// Its link could not be opened or was lost; the link's timer says when to try again.
  var isPausing = false
  /// Its socket is gone from the directory.
  var isAbsent = false
  /// Entries of this round.
  var gathered: [OpenEntry] = []

  init(instance: UInt32, link: CodecLink) {
    self.instance = instance
    self.link = link
  }
}

struct CodecPool {
  private let directory: String
  private let instance: UInt32
  /// By their place, which stays the same for ever.
  private(set) var codecs: [Codec] = []

  init(directory: String, instance: UInt32) {
    self.directory = directory
    self.instance = instance
  }

  subscript(index: Int) -> Codec { codecs[index] }

  /// Looks at the directory.
  mutating func refresh(loop: EventLoop<Frontend>) throws(Errno) {
    let present = Set(try File.names(in: directory).compactMap(SocketName.codecInstance))
    for codec in codecs { codec.isAbsent = !present.contains(codec.instance) }
    for number in present.sorted() where !codecs.contains(where: { $0.instance == number }) {
      let index = codecs.count
      let link = CodecLink(
        path: "\(directory)/\(SocketName.codec(number))", edge: .frontendToCodec,
        instance: instance, loop: loop, source: .codec(index), retrySource: .codecRetry(index))
      codecs.append(Codec(instance: number, link: link))
    }
  }

  /// Places of those whose links are open.
  var open: [Int] { codecs.indices.filter { codecs[$0].link.isOpen } }

  /// Places of those whose links could be opened now.
  var openable: [Int] {
    codecs.indices.filter {
      !codecs[$0].link.isOpen && !codecs[$0].isPausing && !codecs[$0].isAbsent
    }
  }
}
