// The loop of a codec: takes batches from frontends, opens them one after the other in the order in
// which they came, and answers.
//
// It works for about a millisecond, sends the answers, and looks for what has come meanwhile; so many
// small batches share their wake-ups, a large one delays nobody's answers, and the watchdog is fed
// between any two batches.

import DequeModule
import IPC
import Linux
import Logging
import Service

final class CodecProcess: EventHandler {
  enum Source {
    case siblings
    case greeting(Int)
    case frontend(Int)
    /// Timer: there is more to do.
    case work
  }

  private struct Job {
    let frontend: Int
    let entry: OpenEntry
  }

  private let context: ServiceContext
  private let loop: EventLoop<CodecProcess>
  private let listener: SiblingListener<CodecProcess>
  private var frontends: [Int: FrontendPeer] = [:]
  private var lastNumber = 0
  private var jobs: Deque<Job> = []
  private var isScheduled = false
  private var counters = CodecCounters()

  /// How long it works before it sends answers, ns.
  private static let sliceNs: UInt64 = 1_000_000

  private var log: Log { context.log }

  /// - Parameter socket: the listening socket, as it was passed in.
  init(context: ServiceContext, socket: consuming OwnedFD) throws(ServiceFailure) {
    self.context = context
    do throws(Errno) {
      loop = try EventLoop()
      listener = try SiblingListener(
        socket, role: .codec, peers: context.peers, loop: loop, log: context.log,
        source: .siblings, greetingSource: { .greeting($0) })
    } catch { throw ServiceFailure(error) }
    loop.upkeep = context.upkeep
    context.upkeep.tell(
      counters: { [unowned self] in counters.list(frontends: frontends.count) },
      status: { pace in
        "opening batches" + pace.clause([("batches", false, "batches"), ("bytes_in", true, "in")])
      })
  }

  /// Serves until asked to stop. What has been begun is finished, what waits goes to another codec.
  func run() throws(ServiceFailure) {
    context.notifyReady(status: "opening batches")
    do throws(Errno) { try loop.run(self) } catch { throw ServiceFailure(error) }
    context.notifyStopping()
  }

  func ready(_ source: Source, _ readiness: Readiness) {
    switch source {
    case .siblings: listener.accept { hello, socket in admit(hello, socket) }
    case .greeting(let number): listener.greeted(number) { hello, socket in admit(hello, socket) }
    case .frontend(let number): frontendReady(number, readiness)
    case .work: break
    }
  }

  func expired(_ source: Source) {
    guard case .work = source else { return }
    isScheduled = false
  }

  func roundEnded() {
    if jobs.isEmpty { return }
    let beganNs = Clock.monotonicNs()
    while let job = jobs.popFirst() {
      work(on: job)
      if Clock.monotonicNs() - beganNs >= Self.sliceNs { break }
    }
    for peer in frontends.values { peer.flush() }
    if jobs.isEmpty || isScheduled { return }
    isScheduled = true
    loop.schedule(afterMs: 0, .work)
  }

  func stopRequested() { loop.stop() }

  /// Frontends say what to do.
  func reloadRequested() { context.reload { _ in } }

  // MARK: Work

  private func work(on job: Job) {
    guard let peer = frontends[job.frontend] else { return }
    let entry = job.entry
    do throws(MessageError) {
      guard let batch = peer.slab?.bytes(offset: entry.offset, length: entry.length) else {
        throw MessageError("an entry outside of its slab")
      }
      let answer = try BatchOpener.open(batch, entry)
      counters.note(answer, entry)
      peer.answer(answer)
    } catch { drop(job.frontend, "it broke a rule of the edge: \(error)") }
  }

  // MARK: Frontends

  private func admit(_ hello: Hello, _ socket: consuming OwnedFD) {
    guard hello.edge == .frontendToCodec else {
      log.event(.siblingDropped, "refused a connection: no edge \(hello.edge) here")
      return
    }
    lastNumber += 1
    do throws(Errno) {
      frontends[lastNumber] = FrontendPeer(
        try LoopChannel(socket, loop: loop, source: .frontend(lastNumber)),
        instance: hello.instance)
    } catch { log.event(.systemTrouble, "cannot admit a frontend: \(error)") }
  }

  private func frontendReady(_ number: Int, _ readiness: Readiness) {
    guard let peer = frontends[number] else { return }
    do throws(ReceiveError<MessageError>) {
      try peer.channel.ready(readiness) { message, descriptors throws(MessageError) in
        switch message {
        case .attachSlab(let size):
          guard peer.slab == nil, let file = descriptors.take() else {
            throw MessageError("a second slab")
          }
          peer.slab = try SlabView(file, size: size)
        case .open(let entries):
          guard peer.slab != nil else { throw MessageError("open before attachSlab") }
          for entry in entries { jobs.append(Job(frontend: number, entry: entry)) }
        case .reportStatistics:
          do throws(ChannelError) {
            let list = counters.list(frontends: frontends.count)
            try peer.channel.send(.statistics(context.statistics(list)))
          } catch { peer.channel.abort() }
        }
      }
    } catch {
      switch error {
      case .channel(let error): drop(number, error.description)
      case .handler(let error): drop(number, "protocol violation: \(error)")
      }
    }
  }

  private func drop(_ number: Int, _ reason: String) {
    guard let peer = frontends.removeValue(forKey: number) else { return }
    log.event(
      .siblingLost, "frontend \(peer.instance) is gone: \(reason)",
      metadata: ["@sibling": "frontend", "@siblingInstance": "\(peer.instance)"])
    jobs.removeAll { $0.frontend == number }
    peer.channel.close()
  }
}
