import { DropdownMenu } from "radix-ui";
import { Icon, type IconName } from "../parts/Icon";
import { choose, useTheme, type Theme } from "../theme";

const THEMES: { value: Theme; label: string; icon: IconName }[] = [
  { value: "system", label: "As the system", icon: "system" },
  { value: "light", label: "Light", icon: "sun" },
  { value: "dark", label: "Dark", icon: "moon" },
];

export function ThemeSwitch() {
  const theme = useTheme();
  const now = THEMES.find((each) => each.value === theme);
  return (
    <DropdownMenu.Root modal={false}>
      <DropdownMenu.Trigger className="button button-icon" aria-label={`Theme: ${now?.label ?? ""}`}>
        <Icon name={now?.icon ?? "system"} />
      </DropdownMenu.Trigger>
      <DropdownMenu.Portal>
        <DropdownMenu.Content className="menu" align="end" sideOffset={6}>
          <DropdownMenu.RadioGroup value={theme} onValueChange={(value) => choose(value as Theme)}>
            {THEMES.map((each) => (
              <DropdownMenu.RadioItem key={each.value} value={each.value} className="menu-item">
                <Icon name={each.icon} />
                {each.label}
              </DropdownMenu.RadioItem>
            ))}
          </DropdownMenu.RadioGroup>
        </DropdownMenu.Content>
      </DropdownMenu.Portal>
    </DropdownMenu.Root>
  );
}
