// Who comes and goes, what frontends send, and what is told to siblings at the end of a round: answers to
// those that asked, marked slots and dropped segments to fetchers. Whoever breaks a rule of its edge loses
// the connection.

import IPC
import Linux
import Logging
import Model
import Service
import Storage

extension LogWriter {
  func admit(_ hello: Hello, _ socket: consuming OwnedFD) {
    do throws(Errno) {
      switch hello.edge {
      case .frontendToLogWriter:
        let number = frontends.reserve()
        frontends[number] = FrontendPeer(
          try LoopChannel(socket, loop: loop, source: .frontend(number)), instance: hello.instance)
      case .fetcherToLogWriter:
        let number = fetchers.reserve()
        fetchers[number] = FetcherPeer(
          try LoopChannel(socket, loop: loop, source: .fetcher(number)), instance: hello.instance)
      case .coordinatorToLogWriter:
        let number = coordinators.reserve()
        let peer = CoordinatorPeer(
          try LoopChannel(socket, loop: loop, source: .coordinator(number)))
        coordinators[number] = peer
        greet(peer, number)
      case .cleanerToLogWriter:
        let number = cleaners.reserve()
        let peer = CleanerPeer(
          try LoopChannel(socket, loop: loop, source: .cleaner(number)), instance: hello.instance)
        cleaners[number] = peer
        configure(peer)
        cleaning.joined(number)
      default:
        context.log.event(.siblingDropped, "refused a connection: no edge \(hello.edge) here")
      }
    } catch {
      context.log.event(.systemTrouble, "cannot admit a \(hello.edge.from): \(error)")
    }
  }

  func frontendReady(_ number: Int, _ readiness: Readiness) {
    guard let peer = frontends[number] else { return }
    do {
      try peer.channel.ready(readiness) { message, descriptors throws(MessageError) in
        switch message {
        case .attachSlab(let size): try attachSlab(size, &descriptors, peer)
        case .append(let entries):
          guard peer.slab != nil else { throw MessageError("append before attachSlab") }
          round.add(entries, from: number)
        }
      }
    } catch { dropFrontend(number, error.reason) }
  }

  private func attachSlab(_ size: UInt64, _ descriptors: inout DescriptorList, _ peer: FrontendPeer)
    throws(MessageError)
  {
    guard peer.slab == nil else { throw MessageError("a second slab") }
    guard let file = descriptors.take() else { throw MessageError("a slab without descriptor") }
    peer.slab = try SlabView(file, size: size)
    do throws(ChannelError) {
      try peer.channel.send(.scoreboard, descriptors: [store.scoreboard.descriptor.rawValue])
    } catch { peer.channel.abort() }
  }

  /// Hands an answer that has waited to whoever asked.
  func deliver(_ asker: Asker, _ answer: AppendedEntry) {
    switch asker {
    case .frontend(let number):
      frontends[number]?.answers.append(answer)
      hasAnswers = true
    case .coordinator(let number):
      guard let peer = coordinators[number] else { return }
      do throws(ChannelError) {
        try peer.channel.send(.appended(token: answer.cookie, answer))
      } catch { peer.channel.abort() }
    case .nobody: break
    }
  }

  func answerFrontends() {
    hasAnswers = false
    for peer in frontends.all.values where !peer.answers.isEmpty {
      do throws(ChannelError) {
        var rest = peer.answers[...]
        while !rest.isEmpty {
          try peer.channel.send(.appended(Array(rest.prefix(AppendLimits.entriesMax))))
          rest = rest.dropFirst(AppendLimits.entriesMax)
        }
      } catch { peer.channel.abort() }
      peer.answers.removeAll(keepingCapacity: true)
    }
  }

  func dropFrontend(_ number: Int, _ reason: String) {
    guard let peer = frontends[number] else { return }
    context.log.event(
      .siblingLost, "frontend \(peer.instance) is gone: \(reason)",
      metadata: ["@sibling": "frontend", "@siblingInstance": "\(peer.instance)"])
    round.forget(frontend: number)
    waiting.forget(.frontend(number))
    peer.channel.close()
    frontends[number] = nil
  }

  /// Tells every fetcher of the changed slots that it marked.
  func wake(_ changed: [UInt32]) {
    for peer in fetchers.all.values where peer.waitBoard != nil {
      for slot in changed where peer.waitBoard?.takeMark(slot) == true {
        peer.advanced.append(slot)
      }
      if peer.advanced.isEmpty { continue }
      do throws(ChannelError) { try peer.channel.send(.advanced(slots: peer.advanced)) } catch {
        peer.channel.abort()
      }
      peer.advanced.removeAll(keepingCapacity: true)
    }
  }

  /// Has fetchers let go of segments: only then is their room on the disk free.
  func tellOfDropped() {
    let dropped = store.takeDropped()
    for peer in fetchers.all.values where peer.waitBoard != nil {
      do throws(ChannelError) {
        var rest = dropped[...]
        while !rest.isEmpty {
          try peer.channel.send(.dropped(Array(rest.prefix(AppendLimits.entriesMax))))
          rest = rest.dropFirst(AppendLimits.entriesMax)
        }
      } catch { peer.channel.abort() }
    }
  }
}

extension ReceiveError<MessageError> {
  /// Why a channel ended, for the log.
  var reason: String {
    switch self {
    case .channel(let error): error.description
    case .handler(let error): "protocol violation: \(error)"
    }
  }
}
