//! Keys of identity and permission.

use crate::reader::Reader;
use crate::spec::{Kind, Roles, keys};
use alluxio_types::Mode;
use std::time::Duration;

keys! {
    /// How callers say who they are: SIMPLE takes the client's word for its user name, NOSASL has
    /// no users at all (everybody is the owner of everything).
    AUTHENTICATION_TYPE = "alluxio.security.authentication.type",
        Kind::Enum(&["SIMPLE", "NOSASL", "CUSTOM", "KERBEROS"]), default: Some("SIMPLE");
    /// Whether the master checks owner, group and mode.
    PERMISSION_ENABLED = "alluxio.security.authorization.permission.enabled", Kind::Bool,
        default: Some("true"), roles: Roles::MASTER;
    /// Group whose members may do everything.
    SUPERGROUP = "alluxio.security.authorization.permission.supergroup", Kind::Text,
        default: Some("supergroup"), roles: Roles::MASTER;
    /// Permission bits that new files and directories do not get, in octal.
    UMASK = "alluxio.security.authorization.permission.umask", Kind::Octal, default: Some("022");
    /// User name of this process; without one, that of the operating system.
    LOGIN_USERNAME = "alluxio.security.login.username", Kind::Text;
    /// User to act for, if the master lets the login user do that; `_HDFS_USER_` and `_NONE_` mean
    /// nobody else.
    IMPERSONATION_USERNAME = "alluxio.security.login.impersonation.username", Kind::Text,
        default: Some("_HDFS_USER_"), roles: Roles::CLIENT;
    /// How the master finds a user's groups: the operating system's, or one group named as the user.
    GROUP_MAPPING = "alluxio.security.group.mapping.class",
        Kind::Class { names: &["ShellBasedUnixGroups", "IdentityUserGroups"], ending: "Mapping" },
        default: Some("ShellBasedUnixGroups"), roles: Roles::MASTER;
    /// How long the master remembers a user's groups.
    GROUP_CACHE_TIMEOUT = "alluxio.security.group.mapping.cache.timeout", Kind::TIME_OR_OFF,
        aliases: &["alluxio.security.group.mapping.cache.timeout.ms"],
        default: Some("1min"), roles: Roles::MASTER;
    /// Whether workers only serve who has a block token of the master: it says which file may be read or
    /// written, by whom, and until when. The same on masters and workers, which then have to run as a
    /// superuser; clients need not be told.
    BLOCK_TOKEN_ENABLED = "alluxio.security.block.token.enabled", Kind::Bool,
        default: Some("false"), roles: Roles::SERVERS;
    /// How long a block token opens anything; clients ask for new ones by themselves.
    BLOCK_TOKEN_LIFETIME = "alluxio.security.block.token.lifetime", Kind::time(1), default: Some("1h"),
        roles: Roles::SERVERS;
    /// How long the master signs block tokens with one key.
    BLOCK_KEY_INTERVAL = "alluxio.security.block.token.key.update.interval", Kind::time(1),
        default: Some("12h"), roles: Roles::SERVERS;
}

/// How callers say who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthenticationType {
    /// The client's word is taken.
    Simple,
    /// There are no users.
    None,
}

/// Identity and permission, for any role.
#[derive(Debug, Clone)]
pub struct SecurityConfig {
    /// How callers say who they are.
    pub authentication: AuthenticationType,
    /// Whether modes are checked.
    pub permission_enabled: bool,
    /// Group of superusers.
    pub supergroup: String,
    /// Bits that new inodes do not get.
    pub umask: Mode,
    /// User that this process is.
    pub login_user: String,
    /// Its groups, the primary one first, for who knows them better than the master; else empty.
    pub login_groups: Vec<String>,
    /// Whether groups come from the operating system; otherwise the one group is the user's name.
    pub os_groups: bool,
    /// How long groups are remembered; `None` = ask every time.
    pub group_cache_timeout: Option<Duration>,
    /// Block tokens; `None` = workers serve everybody.
    pub block_tokens: Option<BlockTokenConfig>,
}

/// How long block tokens, and the keys behind them, last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockTokenConfig {
    /// How long a token opens anything.
    pub lifetime: Duration,
    /// How long one key is signed with.
    pub key_update_interval: Duration,
}

pub(crate) fn section(r: &mut Reader<'_>) -> SecurityConfig {
    let authentication = match r.text(&AUTHENTICATION_TYPE).as_str() {
        "NOSASL" => AuthenticationType::None,
        "SIMPLE" => AuthenticationType::Simple,
        _ => {
            r.refuse(&AUTHENTICATION_TYPE, "write SIMPLE or NOSASL");
            AuthenticationType::Simple
        }
    };
    SecurityConfig {
        authentication,
        permission_enabled: r.bool(&PERMISSION_ENABLED),
        supergroup: r.text(&SUPERGROUP),
        umask: r.octal(&UMASK),
        login_user: r.text_or(&LOGIN_USERNAME, |machine| machine.user.clone()),
        login_groups: Vec::new(),
        os_groups: r.text(&GROUP_MAPPING) == "ShellBasedUnixGroups",
        group_cache_timeout: r.duration_or_off(&GROUP_CACHE_TIMEOUT),
        block_tokens: r.bool(&BLOCK_TOKEN_ENABLED).then_some(BlockTokenConfig {
            lifetime: r.duration(&BLOCK_TOKEN_LIFETIME),
            key_update_interval: r.duration(&BLOCK_KEY_INTERVAL),
        }),
    }
}
