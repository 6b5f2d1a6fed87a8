// What the handlers of requests work with: one of each, put together by the process. It has no
// behaviour of its own beyond what several APIs share.

import Configuration
import IPC
import Logging
import Model
import Service

final class Broker {
  /// File, command line, and what was set at run time.
  private(set) var configuration: BrokerConfiguration
  let topics: TopicKeeper
  let groups: GroupCoordinator
  let producerIds: ProducerIds
  let logs: LogConversation
  /// Searches in logs for clients.
  let reads = ReadQueue()
  let log: Log
  unowned let scoreboard: any ScoreboardPort
  unowned let replies: any ReplyPort
  unowned let timers: any TimerPort
  unowned let clock: any ClockPort
  private unowned let processes: any ConfigurationPort
  /// Requests handled so far.
  var requestCount: UInt64 = 0

  /// How long we wait for a topic that a client's question makes us create.
  static let autoCreateTimeoutMs: Int64 = 5_000

  init<World>(configuration: BrokerConfiguration, metadata: MetadataLog, world: World, log: Log)
  where
    World: ScoreboardPort, World: ReplyPort, World: TimerPort, World: ClockPort,
    World: LogWriterPort, World: ImagePort, World: ConfigurationPort
  {
    self.configuration = configuration
    self.log = log
    processes = world
    scoreboard = world
    replies = world
    timers = world
    clock = world
    logs = LogConversation(world)
    topics = TopicKeeper(
      metadata: metadata, configs: TopicConfigs(configuration), logs: logs, images: world,
      scoreboard: world, timers: world, log: log)
    groups = GroupCoordinator(
      settings: GroupSettings(configuration), topics: topics, logs: logs, scoreboard: world,
      timers: world, clock: world, replies: world, log: log)
    producerIds = ProducerIds(metadata)
    topics.whenReady = { [unowned groups] in groups.logWriterReady() }
    topics.whenAway = { [unowned groups] in groups.logWriterAway() }
    topics.whenPlaced = { [unowned groups] in groups.takeUp() }
    topics.whenDeleted = { [unowned groups] in groups.topicsDeleted($0) }
    // Until the logwriter is there, members of known groups are told to wait.
    groups.takeUp()
  }

  /// Takes over what may change while the process runs: what is asked for from now on is answered by
  /// it, and the logs of topics that do not say otherwise go by its defaults.
  func apply(_ configuration: BrokerConfiguration) {
    self.configuration = configuration
    groups.settings = GroupSettings(configuration)
    topics.apply(configuration)
  }

  var nodeId: Int32 { configuration.nodeId }

  var clusterId: String { topics.state.clusterId ?? "" }

  /// What was set for this broker at run time.
  var dynamicConfigs: DynamicBrokerConfigs { topics.state.dynamicConfigs(of: nodeId) }

  /// Has every process, this one included, follow what the metadata says was set at run time.
  func dynamicConfigsChanged() { processes.configure(dynamicConfigs) }

  /// The address of this broker for the client of a request.
  func advertised(to context: RequestContext) -> (host: String, port: Int32) {
    if let listener = configuration.listeners.advertised[context.listener.uppercased()] {
      return (listener.host, Int32(listener.port))
    }
    return (context.localHost, Int32(context.localPort))
  }
}

extension GroupSettings {
  init(_ configuration: BrokerConfiguration) {
    limits.initialRebalanceDelayMs = configuration.groupInitialRebalanceDelayMs
    limits.sizeMax = configuration.groupMaxSize
    offsetsRetentionMs = configuration.offsetsRetentionMs
    offsetsRetentionCheckIntervalMs = configuration.offsetsRetentionCheckIntervalMs
    compression = configuration.offsetsTopicCompression
  }
}

/// A request with its origin.
struct RequestContext {
  var reply: Reply
  var clientId: String
  var listener: String
  /// `127.0.0.1:40912`
  var peer: String
  var localHost: String
  var localPort: UInt16
  var principal: String

  var version: Int16 { reply.apiVersion }

  /// The client's address as Kafka shows it: `/127.0.0.1`.
  var clientHost: String {
    guard let colon = peer.lastIndex(of: ":") else { return "/\(peer)" }
    return "/\(peer[..<colon])"
  }
}

/// Operations that a principal may be told of, as bits of Kafka's AclOperation codes. Without an
/// authorizer everybody may do everything that the kind of resource knows.
enum AuthorizedOperations {
  /// "Not asked for."
  static let omitted = Int32.min

  static let ofTopic = bits([3, 4, 5, 6, 7, 8, 10, 11])
  static let ofGroup = bits([3, 6, 8, 10, 11])
  static let ofCluster = bits([5, 7, 8, 9, 10, 11, 12])

  private static func bits(_ codes: [Int32]) -> Int32 { codes.reduce(0) { $0 | 1 << $1 } }
}
