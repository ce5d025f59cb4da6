// The adapter on sharded channels among Node's: what they all do (lib/cluster.mjs).
import { clusterSuite } from "./lib/cluster.mjs";

clusterSuite("sharded");
