// Who may connect to this process: which users may speak as which role. The kernel says who a peer
// is (SO_PEERCRED, unix(7)); the permissions of the socket keep others out before that, and this is
// the second lock: a process that was taken over cannot pose as a sibling with more to say.
//
// `--peers ROLE=USER,…` lists the users of a role; a role that is not listed is open to the user
// that this process runs as, so that `sluice up` needs no list. Root may speak as anyone.

import IPC
import Linux

public struct PeerPolicy: Equatable, Sendable {
  private var usersByRole: [Role: Set<UInt32>] = [:]
  private let own: UInt32

  /// Every role is open to `own` and to root.
  public init(own: UInt32 = Users.own) { self.own = own }

  /// Reads `--peers` options, each `ROLE=USER,ROLE=USER,…` with users by name or number.
  /// - Throws: `.configuration` for what is neither a role nor a user.
  public init(options: [String], own: UInt32 = Users.own) throws(ServiceFailure) {
    self.init(own: own)
    for option in options {
      for part in option.split(separator: ",", omittingEmptySubsequences: false) {
        let (role, user) = try Self.parse(part, of: option)
        usersByRole[role, default: []].insert(user)
      }
    }
  }

  /// Whether `user` may speak as `role`.
  public func allows(user: UInt32, as role: Role) -> Bool {
    user == 0 || (usersByRole[role].map { $0.contains(user) } ?? (user == own))
  }

  /// Whether `user` may speak as any of the roles that connect to `role`.
  public func allows(user: UInt32, at role: Role) -> Bool {
    Edge.all.contains { $0.to == role && allows(user: user, as: $0.from) }
  }

  private static func parse(_ part: Substring, of option: String) throws(ServiceFailure) -> (
    Role, UInt32
  ) {
    guard let equals = part.firstIndex(of: "="),
      let role = Role.allCases.first(where: { $0.description == part[..<equals] })
    else {
      let roles = Role.allCases.map(\.description).joined(separator: ", ")
      throw .configuration(
        "--peers is ROLE=USER,…, where ROLE is one of \(roles); not '\(option)'")
    }
    let name = String(part[part.index(after: equals)...])
    if let number = UInt32(name) { return (role, number) }
    do throws(Errno) {
      if !name.isEmpty, let number = try Users.number(named: name) { return (role, number) }
    } catch { throw ServiceFailure(error) }
    throw .configuration("--peers \(part): there is no user '\(name)'")
  }
}
