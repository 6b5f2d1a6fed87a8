// Sockets passed by systemd or `sluice up` (sd_listen_fds(3)): descriptors from 3 on, counted by
// LISTEN_FDS, meant for the process LISTEN_PID, named by LISTEN_FDNAMES. Among them is what the
// process before left in the supervisor's store (`DescriptorStore`).

import CSystemd
import Glibc
import Linux

/// A listening socket that was passed in, with its name.
public struct InheritedSocket: ~Copyable {
  public let name: String
  public let socket: OwnedFD

  public consuming func take() -> OwnedFD { socket }
}

/// All sockets that were passed in and not taken yet.
public final class InheritedSockets {
  private var numbers: [(name: String, number: Int32)] = []

  /// Claims them; they become close-on-exec and the environment is cleaned.
  public init() throws(ServiceFailure) {
    var names: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
    let count = sd_listen_fds_with_names(1, &names)
    if count < 0 { throw .system("sd_listen_fds_with_names: \(Errno(-count, "sd_listen_fds"))") }
    defer { free(names) }
    for index in 0..<Int(count) {
      let name = names?[index].map { String(cString: $0) } ?? "unknown"
      free(names?[index])
      numbers.append((name, Int32(3 + index)))
    }
  }

  private static let remedy = "start this process through its .socket unit or `sluice up`"

  /// Takes the socket called `name`.
  public func take(_ name: String) throws(ServiceFailure) -> OwnedFD {
    guard let index = numbers.firstIndex(where: { $0.name == name }) else {
      let others = numbers.map(\.name).joined(separator: ", ")
      throw .configuration(
        "no socket named '\(name)' was passed in (LISTEN_FDNAMES has: \(others.isEmpty ? "none" : others)); \(Self.remedy)"
      )
    }
    return OwnedFD(taking: numbers.remove(at: index).number)
  }

  /// Takes one that the process before left in the supervisor's store under `name`, if there is one
  /// (left).
  public func takeStored(_ name: String) -> OwnedFD? {
    guard let index = numbers.firstIndex(where: { $0.name == name }) else { return nil }
    return OwnedFD(taking: numbers.remove(at: index).number)
  }

  /// Refuses to go on when none is left.
  public func requireSome() throws(ServiceFailure) {
    if numbers.isEmpty { throw .configuration("no socket was passed in; \(Self.remedy)") }
  }

  /// Takes the next of all remaining sockets, or nil when none is left.
  public func takeNext() -> InheritedSocket? {
    guard !numbers.isEmpty else { return nil }
    let (name, number) = numbers.removeFirst()
    return InheritedSocket(name: name, socket: OwnedFD(taking: number))
  }
}
