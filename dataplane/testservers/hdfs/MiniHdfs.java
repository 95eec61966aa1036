import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.hdfs.MiniDFSCluster;
import org.apache.hadoop.hdfs.MiniDFSNNTopology;

/**
 * An HDFS cluster for tests: {@code MiniHdfs <directory> <name nodes>}.
 *
 * <p>Prints {@code READY <rpc port> <http port> ...}, one pair per name node, and ends when its
 * standard input does. The line {@code failover} moves the active role to the second name node.
 */
public class MiniHdfs {
  public static void main(String[] args) throws Exception {
    int nameNodes = Integer.parseInt(args[1]);
    Configuration conf = new Configuration();
    conf.setInt("dfs.replication", 1);
    // Small pages, so that a listing of a few hundred files crosses them.
    conf.setInt("dfs.ls.limit", 100);
    conf.setInt("dfs.namenode.fs-limits.min-block-size", 1024);
    conf.setLong("dfs.blocksize", 1024 * 1024);
    conf.setInt("dfs.namenode.handler.count", 4);
    conf.setInt("dfs.datanode.handler.count", 4);
    MiniDFSNNTopology topology =
        nameNodes == 2
            ? MiniDFSNNTopology.simpleHATopology()
            : MiniDFSNNTopology.simpleSingleNN(0, 0);
    MiniDFSCluster cluster =
        new MiniDFSCluster.Builder(conf, new File(args[0]))
            .nnTopology(topology)
            .numDataNodes(1)
            .build();
    if (nameNodes == 2) {
      cluster.transitionToActive(0);
    }
    cluster.waitActive();
    StringBuilder ready = new StringBuilder("READY");
    for (int i = 0; i < nameNodes; i++) {
      ready.append(' ').append(cluster.getNameNodePort(i));
      ready.append(' ').append(cluster.getNameNode(i).getHttpAddress().getPort());
    }
    System.out.println(ready);
    BufferedReader commands = new BufferedReader(new InputStreamReader(System.in));
    for (String line = commands.readLine(); line != null; line = commands.readLine()) {
      if (line.equals("failover")) {
        cluster.transitionToStandby(0);
        cluster.transitionToActive(1);
        System.out.println("FAILED OVER");
      }
    }
    // Quick: the directory is temporary, there is nothing to save.
    Runtime.getRuntime().halt(0);
  }
}
