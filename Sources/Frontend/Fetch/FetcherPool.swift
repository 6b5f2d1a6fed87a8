// The fetchers that there are: one link for every `fetcher-<N>.sock` in the runtime directory, and
// how many connections each of them serves.

import IPC
import Linux
import Service

typealias FetcherLink = SiblingLink<FrontendToFetcher, FetcherToFrontend, Frontend>

/// One fetcher.
final class Fetcher {
  let instance: UInt32
  let path: String
  let link: FetcherLink
  /// Connections that were given to it.
  var connectionCount = 0
  /// It is about to stop and begins nothing new.
  var isDraining = false
  /// Its socket is gone from the directory: there is nothing to connect to.
  var isAbsent = false

  init(instance: UInt32, path: String, link: FetcherLink) {
    self.instance = instance
    self.path = path
    self.link = link
  }

  var isUsable: Bool { link.isOpen && !isDraining }
}

struct FetcherPool {
  private let directory: String
  private let instance: UInt32
  /// By their place, which stays the same for ever.
  private(set) var fetchers: [Fetcher] = []

  init(directory: String, instance: UInt32) {
    self.directory = directory
    self.instance = instance
  }

  subscript(index: Int) -> Fetcher { fetchers[index] }

  /// Looks at the directory.
  /// - Returns: places of the fetchers whose links are to be opened.
  mutating func refresh(loop: EventLoop<Frontend>) throws(Errno) -> [Int] {
    let present = Set(try File.names(in: directory).compactMap(SocketName.fetcherInstance))
    var opened: [Int] = []
    for index in fetchers.indices where fetchers[index].isAbsent {
      guard present.contains(fetchers[index].instance) else { continue }
      fetchers[index].isAbsent = false
      opened.append(index)
    }
    for number in present.sorted() where !fetchers.contains(where: { $0.instance == number }) {
      let index = fetchers.count
      let path = "\(directory)/\(SocketName.fetcher(number))"
      let link = FetcherLink(
        path: path, edge: .frontendToFetcher, instance: instance, loop: loop,
        source: .fetcher(index), retrySource: .fetcherRetry(index))
      fetchers.append(Fetcher(instance: number, path: path, link: link))
      opened.append(index)
    }
    return opened
  }

  /// The fetcher for one more connection: the preferred one, else the one with the fewest.
  func choose(preferring instance: UInt32 = 0) -> Int? {
    if instance > 0,
      let preferred = fetchers.firstIndex(where: { $0.instance == instance && $0.isUsable })
    {
      return preferred
    }
    return fetchers.indices.filter { fetchers[$0].isUsable }
      .min { fetchers[$0].connectionCount < fetchers[$1].connectionCount }
  }
}
