// What the tests of configurations do again and again: the operations, a world with topics, altering
// and describing one resource.

import Configuration
import IPC
import KafkaProtocol
import Model
import Testing

@testable import Coordinator

protocol ConfigSteps {}

extension ConfigSteps {
  typealias Op = IncrementalAlterConfigsRequest.AlterableConfig
  typealias Resource = IncrementalAlterConfigsRequest.AlterConfigsResource

  static func set(_ name: String, _ value: String?) -> Op {
    Op(name: name, configOperation: 0, value: value)
  }
  static func delete(_ name: String) -> Op { Op(name: name, configOperation: 1, value: nil) }
  static func append(_ name: String, _ value: String) -> Op {
    Op(name: name, configOperation: 2, value: value)
  }
  static func subtract(_ name: String, _ value: String) -> Op {
    Op(name: name, configOperation: 3, value: value)
  }

  func world(_ overrides: [String] = [], topics: [String] = ["t"]) throws -> FakeWorld {
    let world = try FakeWorld(overrides)
    for topic in topics {
      _ = try world.ask(
        CreateTopicsRequest(
          topics: [.init(name: topic, numPartitions: 2, replicationFactor: 1)]), version: 7)
    }
    return world
  }

  @discardableResult
  func alter(
    _ world: FakeWorld, _ type: Int8, _ name: String, _ ops: [Op], validateOnly: Bool = false
  ) throws -> IncrementalAlterConfigsResponse.AlterConfigsResourceResponse {
    let response = try world.ask(
      IncrementalAlterConfigsRequest(
        resources: [Resource(resourceType: type, resourceName: name, configs: ops)],
        validateOnly: validateOnly), version: 1)
    #expect(response.responses.count == 1)
    let answer = try #require(response.responses.first)
    #expect(answer.resourceType == type && answer.resourceName == name)
    #expect((answer.errorCode == .none) == (answer.errorMessage == nil))
    return answer
  }

  func describe(
    _ world: FakeWorld, _ type: Int8, _ name: String, _ keys: [String]? = nil
  ) throws -> [DescribeConfigsResponse.DescribeConfigsResourceResult] {
    let response = try world.ask(
      DescribeConfigsRequest(
        resources: [.init(resourceType: type, resourceName: name, configurationKeys: keys)],
        includeSynonyms: true, includeDocumentation: true), version: 4)
    #expect(response.results.map(\.errorCode) == [.none])
    return response.results[0].configs
  }
}
